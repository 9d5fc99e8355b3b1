"""What the tests of the module begin with: payments anywhere in their life, and a processor."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from payments.adapters import registry
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Authorisation, Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.use_cases.initiate_payment import Terms, initiate_payment
from shared import db
from shared.identifiers import new_id

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

VERBS: dict[str, Callable[[Payment], None]] = {
    "pass_assessment": lambda payment: payment.pass_assessment(now=NOW),
    "hold_for_review": lambda payment: payment.hold_for_review(now=NOW),
    "authorise": lambda payment: payment.authorise(now=NOW),
    "decline": lambda payment: payment.decline(reason="do_not_honor", now=NOW),
    "fail": lambda payment: payment.fail(reason="processor_unreachable", now=NOW),
    "await_processor": lambda payment: payment.await_processor(in_doubt=True, now=NOW),
}
"""Every mutator of a payment."""

_VERB_INTO = {
    PaymentStatus.IN_REVIEW: "hold_for_review",
    PaymentStatus.AUTHORISED: "authorise",
    PaymentStatus.DECLINED: "decline",
    PaymentStatus.FAILED: "fail",
}


class Died(BaseException):
    """The process ended: nothing after it ran."""


class FakeProcessor:
    """A processor with a book, which holds, answers, fails or kills us as a test tells it."""

    name = "sandbox"

    def __init__(self) -> None:
        self.book: dict[UUID, Outcome] = {}
        """What it holds: the truth, whatever we know of it."""
        self.calls: list[tuple[str, UUID]] = []
        self.answers: list[Outcome | BaseException] = []
        """Told instead of the truth, one per call."""
        self.is_reachable = True

    def authorise(self, request: Authorisation) -> Outcome:
        """Hold the amount once per operation."""
        self.calls.append(("authorise", request.operation_id))
        if self.is_reachable:
            approved = Outcome(OutcomeKind.APPROVED, f"fake_{request.operation_id.hex}")
            self.book.setdefault(request.operation_id, approved)
        return self._answer(self.book.get(request.operation_id))

    def inquire(self, operation_id: UUID) -> Outcome:
        """What the book says."""
        self.calls.append(("inquire", operation_id))
        if not self.is_reachable:
            return Outcome(OutcomeKind.UNKNOWN, reason="no_answer")
        return self._answer(self.book.get(operation_id))

    def verbs(self) -> list[str]:
        """What it was asked to do, in order."""
        return [verb for verb, _ in self.calls]

    def _answer(self, truth: Outcome | None) -> Outcome:
        answer = self.answers.pop(0) if self.answers else truth
        if isinstance(answer, BaseException):
            raise answer
        return answer or Outcome(OutcomeKind.NOT_SENT, reason="connection_refused")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProcessor]:
    """The processor that every payment goes to."""
    fake = FakeProcessor()
    monkeypatch.setitem(registry._PROCESSORS, registry.DEFAULT_PROCESSOR, fake)
    yield fake
    assert len({operation_id for verb, operation_id in fake.calls}) <= Operation.objects.count()


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
    if status in _VERB_INTO:
        VERBS[_VERB_INTO[status]](payment)
        Payment.objects.write([payment])
    return loaded(payment)


def loaded(payment: Payment) -> Payment:
    """The payment as it is stored."""
    return Payment.objects.get(pk=payment.pk)


def planned(payment: Payment, **changes: Any) -> Operation:
    """The call that asks the processor to authorise a payment, claimed for the first time."""
    operation = Operation.to_authorise(
        payment, processor=registry.DEFAULT_PROCESSOR, cause_event_id=str(new_id())
    )
    for name, value in changes.items():
        setattr(operation, name, value)
    with db.transaction():
        Operation.objects.plan([operation])
    Operation.objects.filter(pk=operation.pk).update(attempts=1)
    return Operation.objects.get(pk=operation.pk)


def hasten() -> None:
    """Let time pass: leases end, and what waits for its time is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments.operation SET due_at = now() WHERE due_at IS NOT NULL")
