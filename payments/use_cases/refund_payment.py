"""Giving captured money back."""

from datetime import datetime

from payments.models import Operation
from payments.queries import get_payment_to_change
from payments.use_cases.place_operation import Demand, place_operation
from shared import db


def refund_payment(
    *,
    demand: Demand,
    amount_minor: int | None,
    reason: str,
    now: datetime,
) -> Operation:
    """
    Reserve captured money (all that is free by default) and plan the call that gives it back.

    The operation is the refund. Publishes nothing yet: see `record_outcomes`.

    Raises:
        PaymentNotFound, PaymentNotRefundable, RefundExceedsCaptured, IdempotencyKeyExpired.

    """
    with db.transaction():
        payment = get_payment_to_change(
            merchant_id=demand.merchant_id,
            payment_id=demand.payment_id,
            idempotency_key=demand.idempotency_key,
        )
        operation = Operation.to_refund(
            payment,
            amount_minor,
            merchant_reason=reason,
            idempotency_key=demand.idempotency_key,
            metadata=demand.metadata,
            now=now,
        )
        return place_operation(payment=payment, operation=operation)
