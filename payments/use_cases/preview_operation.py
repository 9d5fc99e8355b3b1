"""Saying what a capture, void or refund would do, without doing it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from payments.domain.processor import OperationKind, Outcome, OutcomeKind
from payments.models import Operation, Payment, Purpose, Verdict
from payments.queries import get_payment
from payments.use_cases.draw_consequences import draw_consequences
from shared.events.payments import PaymentEvent


@dataclass(frozen=True)
class Preview:
    """The payment as it would be, and the event that would be published. Nothing is stored."""

    payment: Payment
    event: PaymentEvent


def preview_operation(
    *,
    merchant_id: UUID,
    payment_id: UUID,
    kind: OperationKind,
    amount_minor: int | None = None,
    is_final: bool = True,
    now: datetime,
) -> Preview:
    """
    Take the steps of an approved operation on a copy that is never written.

    Raises:
        What `capture_payment`, `void_payment` and `refund_payment` refuse.

    """
    payment = get_payment(merchant_id=merchant_id, payment_id=payment_id)
    operation = _planned(payment, kind, amount_minor, is_final=is_final, now=now)
    operation.resolve(Verdict.APPROVED, reason="")
    approved = Outcome(OutcomeKind.APPROVED)
    consequences = draw_consequences(
        payment=payment, operation=operation, outcome=approved, now=now
    )
    return Preview(payment, consequences.events[0])


def _planned(
    payment: Payment,
    kind: OperationKind,
    amount_minor: int | None,
    *,
    is_final: bool,
    now: datetime,
) -> Operation:
    if kind == OperationKind.CAPTURE:
        return Operation.to_capture(payment, amount_minor, is_final=is_final, now=now)
    if kind == OperationKind.REFUND:
        return Operation.to_refund(payment, amount_minor, now=now)
    return Operation.to_release(payment, purpose=Purpose.MERCHANT, now=now)
