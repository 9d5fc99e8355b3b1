"""
What can be asked of payments, and how it is asked: through the use cases and the drain.

Payments and calls are named by their numbers, so that a run can be told and repeated.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from payflow.tests.machine.calls import CAPTURE, VOID
from payflow.tests.machine.processor import Answer, ScriptedProcessor
from payments.domain.processor import OperationKind
from payments.models import Payment
from payments.use_cases.apply_fraud_decisions import apply_fraud_decisions
from payments.use_cases.cancel_payment_by_key import cancel_payment_by_key
from payments.use_cases.capture_payment import capture_payment
from payments.use_cases.expire_holds import expire_holds
from payments.use_cases.hear_processor import hear_processor
from payments.use_cases.initiate_payment import Terms, initiate_payment
from payments.use_cases.place_operation import Demand
from payments.use_cases.preview_operation import preview_operation
from payments.use_cases.refund_payment import refund_payment
from payments.use_cases.void_payment import void_payment
from shared import clock
from shared.db import run_in_transaction
from shared.errors import DomainError
from shared.event_bus import DISPATCHER, drain
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided
from shared.http.idempotency import Accepted, answer_once
from shared.http.idempotency import Answer as HttpAnswer
from shared.http.principal import Principal, Signed
from shared.identifiers import new_id

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Initiate:
    """A merchant's `POST /payments` with a card."""

    merchant: int
    key: str
    amount: int
    currency: str
    captures_at_once: bool = False
    capture_before: datetime | None = None
    through_door: bool = False
    """Whether it comes through the idempotency of the HTTP door, or straight to the use case."""


@dataclass(frozen=True)
class Assess:
    """Fraud's decision: APPROVE, REVIEW or DECLINE; of an operator's review if `is_review`."""

    payment: int
    decision: str
    is_review: bool = False


@dataclass(frozen=True)
class Ask:
    """A capture, void or refund; None asks for all that is free. A dry run changes nothing."""

    payment: int
    kind: str
    key: str
    amount: int | None = None
    is_final: bool = True
    is_dry: bool = False


@dataclass(frozen=True)
class Cancel:
    """A merchant's `cancel-by-key`."""

    merchant: int
    cancel_key: str
    key: str


@dataclass(frozen=True)
class Reply:
    """What the processor answers to one call when the dispatcher makes it."""

    payment: int
    call: int
    answer: Answer


@dataclass(frozen=True)
class Run:
    """A turn of the dispatcher: the calls that are due, at most one of each payment."""

    replies: tuple[Reply, ...]


@dataclass(frozen=True)
class Expire:
    """The sweep over holds whose time is over."""


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    hours: float


Command = Initiate | Assess | Ask | Cancel | Run | Expire | Wait


class World:
    """The platform as commands meet it, with a clock and a processor of its own."""

    def __init__(self, hasten: Callable[[Sequence[UUID]], None]) -> None:
        """`hasten` makes operations due that are waiting for their time."""
        self.began = self.now = START
        self.processor = ScriptedProcessor()
        self.merchants = [new_id(), new_id()]
        self.payments: list[tuple[UUID, int]] = []
        """By number: its id, and its merchant's number."""
        self.told: tuple[int, str, bool] | None = None
        """What the door last answered: HTTP status, the payment's, and whether it is a replay."""
        self._hasten = hasten

    def initiate(self, command: Initiate) -> UUID | None:
        """The new payment's id; None if an earlier answer was repeated. Raises: see the parts."""
        made: list[UUID] = []
        if command.through_door:
            answer = answer_once(
                self._request(command),
                _validated(command),
                lambda _: self._accept(made, command),
                finish=_seen,
            )
            is_replay = "Idempotent-Replayed" in answer.headers
            self.told = (answer.status_code, _status_in(answer.data), is_replay)
        else:
            made.append(run_in_transaction(lambda: self._initiate(command)))
        if not made:
            return None
        self.payments.append((made[0], command.merchant))
        return made[0]

    def _accept(self, made: list[UUID], command: Initiate) -> Accepted:
        made[:] = [self._initiate(command)]
        return Accepted(made[0], _seen(made[0]))

    def _request(self, command: Initiate) -> Request:
        merchant_id = self.merchants[command.merchant]
        request = Request(APIRequestFactory().post("/api/v1/payments"))
        request.user = Principal(  # type: ignore[assignment]
            merchant_id, "Acme Corp", "till@example.com", Signed.BODY
        )
        return request

    def _initiate(self, command: Initiate) -> UUID:
        terms = Terms(
            merchant_id=self.merchants[command.merchant],
            merchant_name="Acme Corp",
            merchant_email="till@example.com",
            payee_account_id=self.merchants[command.merchant],
            idempotency_key=command.key,
            amount_minor=command.amount,
            currency=command.currency,
            method_type="CARD",
            method_token="tok_test",
            captures_at_once=command.captures_at_once,
            capture_before=command.capture_before,
        )
        return initiate_payment(terms=terms, now=self.now).pk

    def assess(self, command: Assess) -> None:
        """Bring a decision, as the listener does."""
        payment_id, _ = self.payments[command.payment]
        facts: dict[str, Any] = {
            "event_id": str(new_id()),
            "correlation_id": str(payment_id),
            "subject_id": str(payment_id),
            "merchant_id": None,
            "occurred_at": clock.iso(self.now),
            "payment_id": str(payment_id),
            "decision": command.decision,
        }
        decision = (
            FraudReviewDecided(**facts, reason="")
            if command.is_review
            else FraudAssessmentCompleted(**facts, score=50, risk_score=50, rules=())
        )
        apply_fraud_decisions(decisions=[decision], now=self.now)

    def ask(self, command: Ask) -> None:
        """Reserve and plan. Raises: see the use cases."""
        demand = Demand(**self._whose(command), idempotency_key=command.key)
        amount, now = command.amount, self.now
        if command.kind == CAPTURE:
            capture_payment(demand=demand, amount_minor=amount, is_final=command.is_final, now=now)
        elif command.kind == VOID:
            void_payment(demand=demand, now=now)
        else:
            refund_payment(demand=demand, amount_minor=amount, reason="", now=now)

    def preview(self, command: Ask) -> dict[str, object]:
        """What a dry run says. Raises: what the real command would."""
        preview = preview_operation(
            **self._whose(command),
            kind=OperationKind(command.kind.upper()),
            amount_minor=command.amount,
            is_final=command.is_final,
            now=self.now,
        )
        payment = preview.payment
        return {
            "status": str(payment.status),
            "captured": payment.captured_minor,
            "refunded": payment.refunded_minor,
            "event": preview.event.event_type.rpartition(".")[2],
            "released": getattr(preview.event, "released_amount_minor", 0),
        }

    def cancel(self, command: Cancel) -> bool:
        """Whether the key was seen. Raises: see `cancel_payment_by_key`."""
        found = cancel_payment_by_key(
            merchant_id=self.merchants[command.merchant],
            cancel_key=command.cancel_key,
            idempotency_key=command.key,
            now=self.now,
        )
        return found is not None

    def run(self, answers: dict[UUID, Answer], *, called_back: Sequence[UUID]) -> None:
        """Let these operations be due, the latter by the processor's callback, and drain."""
        headers = {"x-signature": "signed"}
        for operation_id in called_back:
            hear_processor(processor="sandbox", headers=headers, body=str(operation_id).encode())
        self.processor.script = dict(answers)
        self.processor.calls = []
        self._hasten(list(answers))
        drain(DISPATCHER)

    def expire(self) -> int:
        """How many holds were found whose time is over."""
        return expire_holds(now=self.now)

    def wait(self, command: Wait) -> None:
        """Move the clock."""
        self.now += timedelta(hours=command.hours)

    def _whose(self, command: Ask) -> dict[str, Any]:
        payment_id, merchant = self.payments[command.payment]
        return {"merchant_id": self.merchants[merchant], "payment_id": payment_id}


def _seen(payment_id: UUID) -> HttpAnswer:
    payment = Payment.objects.get(pk=payment_id)
    status = 201 if payment.is_decided else 202
    return HttpAnswer(status, {"status": payment.status}, is_decided=payment.is_decided)


def _status_in(body: Any) -> str:
    """Of an answer, stored or not."""
    document = json.loads(body) if isinstance(body, bytes) else body
    return str(document["status"])


def refusal_of(work: Callable[[], object]) -> tuple[str, object]:
    """The name of the error with which something is refused, or nothing and what it returned."""
    try:
        return "", work()
    except DomainError as refused:
        return type(refused).__name__, None


def _validated(command: Initiate) -> dict[str, object]:
    return {
        "idempotencyKey": command.key,
        "amount": command.amount,
        "currency": command.currency,
        "capture": command.captures_at_once,
        "captureBefore": command.capture_before,
    }
