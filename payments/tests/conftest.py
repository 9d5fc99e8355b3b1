"""What the tests of the module begin with: payments anywhere in their life, and a processor."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from payments.adapters import registry
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import (
    CallbackNotAuthentic,
    Instruction,
    Outcome,
    OutcomeKind,
    Redirect,
)
from payments.models import Operation, Payment
from payments.use_cases.initiate_payment import Terms, initiate_payment
from payments.use_cases.place_operation import Demand
from shared import db
from shared.errors import DomainError
from shared.event_bus import DISPATCHER, drain
from shared.event_bus.dispatcher import Dispatcher
from shared.identifiers import new_id

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

DEADLINE = NOW + timedelta(days=7)


def _authorise(payment: Payment) -> None:
    payment.authorise(processor="sandbox", reference="ref_1", now=NOW)


def _capture(amount_minor: int, *, is_final: bool) -> Callable[[Payment], None]:
    def capture(payment: Payment) -> None:
        payment.reserve_capture(amount_minor, is_final=is_final, now=NOW)
        payment.capture(amount_minor, is_final=is_final, now=NOW)

    return capture


def _refund(amount_minor: int | None) -> Callable[[Payment], None]:
    def refund(payment: Payment) -> None:
        payment.refund(payment.reserve_refund(amount_minor, now=NOW), now=NOW)

    return refund


def _release(ended_as: PaymentStatus) -> Callable[[Payment], None]:
    def release(payment: Payment) -> None:
        payment.reserve_release(now=NOW)
        payment.release(ended_as, now=NOW)

    return release


VERBS: dict[str, Callable[[Payment], None]] = {
    "pass_assessment": lambda payment: payment.pass_assessment(now=NOW),
    "hold_for_review": lambda payment: payment.hold_for_review(now=NOW),
    "authorise": _authorise,
    "decline": lambda payment: payment.decline(reason="do_not_honor", now=NOW),
    "fail": lambda payment: payment.fail(reason="processor_unreachable", now=NOW),
    "send_payer_to": lambda payment: payment.send_payer_to(
        Redirect("https://bank.example/1", DEADLINE), now=NOW
    ),
    "request_cancel": lambda payment: payment.request_cancel(now=NOW),
    "capture_a_part": _capture(10_000, is_final=False),
    "capture_finally": _capture(10_000, is_final=True),
    "void": _release(PaymentStatus.VOIDED),
    "expire": _release(PaymentStatus.EXPIRED),
    "refund_a_part": _refund(5_000),
    "refund_all": _refund(None),
}
"""Every mutator of a payment, with its reservation."""

_VERBS_INTO = {
    PaymentStatus.PENDING: (),
    PaymentStatus.IN_REVIEW: ("hold_for_review",),
    PaymentStatus.AUTHORISED: ("authorise",),
    PaymentStatus.DECLINED: ("decline",),
    PaymentStatus.FAILED: ("fail",),
    PaymentStatus.PARTIALLY_CAPTURED: ("authorise", "capture_a_part"),
    PaymentStatus.CAPTURED: ("authorise", "capture_finally"),
    PaymentStatus.VOIDED: ("authorise", "void"),
    PaymentStatus.EXPIRED: ("authorise", "expire"),
    PaymentStatus.PARTIALLY_REFUNDED: ("authorise", "capture_finally", "refund_a_part"),
    PaymentStatus.REFUNDED: ("authorise", "capture_finally", "refund_all"),
}


class Died(BaseException):
    """The process ended: nothing after it ran."""


class FakeProcessor:
    """A processor with a book, which holds, answers, fails or kills us as a test tells it."""

    def __init__(self, name: str = "sandbox") -> None:
        self.name = name
        self.book: dict[UUID, Outcome] = {}
        """What it holds: the truth, whatever we know of it."""
        self.calls: list[tuple[str, UUID]] = []
        self.asked: list[Instruction] = []
        self.answers: list[Outcome | BaseException] = []
        """Told instead of the truth, one per call."""
        self.is_reachable = True
        self.while_asked: Callable[[], None] = lambda: None
        """What else happens in the world while a call is under way."""

    def authorise(self, instruction: Instruction) -> Outcome:
        """Hold the amount once per operation."""
        return self._do("authorise", instruction)

    def capture(self, instruction: Instruction) -> Outcome:
        """Take it once per operation."""
        return self._do("capture", instruction)

    def void(self, instruction: Instruction) -> Outcome:
        """Release it once per operation."""
        return self._do("void", instruction)

    def refund(self, instruction: Instruction) -> Outcome:
        """Give it back once per operation."""
        return self._do("refund", instruction)

    def inquire(self, instruction: Instruction) -> Outcome:
        """What the book says."""
        self.calls.append(("inquire", instruction.operation_id))
        if not self.is_reachable:
            return Outcome(OutcomeKind.UNKNOWN, reason="no_answer")
        return self._answer(self.book.get(instruction.operation_id))

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> UUID | None:
        """The id that stands in the body, if the header says that it is ours."""
        if headers.get("x-fake-signature") != "signed":
            raise CallbackNotAuthentic
        return UUID(body.decode()) if body else None

    def verbs(self) -> list[str]:
        """What it was asked to do, in order."""
        return [verb for verb, _ in self.calls]

    def _do(self, verb: str, instruction: Instruction) -> Outcome:
        self.calls.append((verb, instruction.operation_id))
        self.asked.append(instruction)
        if self.is_reachable:
            approved = Outcome(OutcomeKind.APPROVED, f"fake_{instruction.operation_id.hex}")
            self.book.setdefault(instruction.operation_id, approved)
        self.while_asked()
        return self._answer(self.book.get(instruction.operation_id))

    def _answer(self, truth: Outcome | None) -> Outcome:
        answer = self.answers.pop(0) if self.answers else truth
        if isinstance(answer, BaseException):
            raise answer
        return answer or Outcome(OutcomeKind.NOT_SENT, reason="connection_refused")


class SlowProcessor(FakeProcessor):
    """Does not answer what is slow before a gate opens; everything else at once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow: Callable[[Instruction], bool] = lambda instruction: False
        self.gate = threading.Event()
        self.held = 0
        """How many calls came to the gate."""
        self._lock = threading.Lock()

    def _do(self, verb: str, instruction: Instruction) -> Outcome:
        if self.is_slow(instruction):
            with self._lock:
                self.held += 1
            assert self.gate.wait(25)
        return super()._do(verb, instruction)


@pytest.fixture
def slow_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowProcessor]:
    """The one processor that is configured, whose gate opens at the end at the latest."""
    processor = SlowProcessor()
    monkeypatch.setattr(registry, "_PROCESSORS", {"sandbox": processor})
    yield processor
    processor.gate.set()


@contextmanager
def dispatching() -> Iterator[None]:
    """A dispatcher works meanwhile."""
    stopping = threading.Event()
    thread = threading.Thread(target=Dispatcher().run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=30)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProcessor]:
    """The one processor that is configured, and that every card payment goes to."""
    fake = FakeProcessor()
    monkeypatch.setattr(registry, "_PROCESSORS", {"sandbox": fake})
    yield fake
    assert len({operation_id for verb, operation_id in fake.calls}) <= Operation.objects.count()


@pytest.fixture
def backup(processor: FakeProcessor) -> FakeProcessor:
    """A second processor, asked when the first cannot."""
    fake = FakeProcessor("sandbox-backup")
    registry._PROCESSORS["sandbox-backup"] = fake
    return fake


def terms(**changes: Any) -> Terms:
    """What a merchant of its own asks for: 250.00 USD under a new key."""
    facts: dict[str, Any] = {
        "merchant_id": new_id(),
        "merchant_name": "Acme Corp",
        "merchant_email": "till@example.com",
        "payee_account_id": new_id(),
        "idempotency_key": str(new_id()),
        "amount_minor": 25_000,
        "currency": "USD",
        "method_type": "CARD",
        "method_token": "tok_test",
        "description": "",
        "metadata": {},
    }
    return Terms(**(facts | changes))


def accepted(**changes: Any) -> Payment:
    """A PENDING payment, committed with its event, which nobody has brought to anybody yet."""
    return loaded(initiate_payment(terms=terms(**changes), now=NOW))


def payment_in(status: PaymentStatus, **changes: Any) -> Payment:
    """A payment in a status, and no more than its row."""
    payment = loaded(Payment.initiate(now=NOW, **vars(terms(**changes))))
    for verb in _VERBS_INTO[status]:
        VERBS[verb](payment)
        Payment.objects.write([payment])
    return loaded(payment)


def loaded(payment: Payment) -> Payment:
    """The payment as it is stored."""
    return Payment.objects.get(pk=payment.pk)


def planned(payment: Payment, **changes: Any) -> Operation:
    """The call that asks the processor to authorise a payment, claimed for the first time."""
    operation = Operation.to_authorise(payment, processor="sandbox", cause_event_id=new_id())
    for name, value in changes.items():
        setattr(operation, name, value)
    with db.transaction():
        Operation.objects.plan([operation])
    return claimed(operation)


def claimed(operation: Operation, **changes: Any) -> Operation:
    """An operation as a dispatcher holds it that claims it for the first time."""
    Operation.objects.filter(pk=operation.pk).update(**({"attempts": 1} | changes))
    return Operation.objects.get(pk=operation.pk)


def demand(payment: Payment, **changes: Any) -> Demand:
    """What the merchant says with a wish about a payment, under a new key."""
    facts: dict[str, Any] = {
        "merchant_id": payment.merchant_id,
        "payment_id": payment.pk,
        "idempotency_key": str(new_id()),
    }
    return Demand(**(facts | changes))


def refusal_of(work: Callable[[], object]) -> str:
    """The code with which a use case refuses; empty if it does not."""
    try:
        work()
    except DomainError as refused:
        return refused.code
    return ""


def run(times: int = 1) -> None:
    """What a dispatcher does, again after each pause."""
    for _ in range(times):
        drain(DISPATCHER)
        hasten()


def die() -> None:
    """A dispatcher ends between the call and its record; its lease ends."""
    with pytest.raises(Died):
        drain(DISPATCHER)
    hasten()


def hasten() -> None:
    """Let time pass: leases end, and what waits for its time is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments.operation SET due_at = now() WHERE due_at IS NOT NULL")
