"""Taking held funds."""

from datetime import datetime

from payments.models import Operation
from payments.queries import get_payment_to_change
from payments.use_cases.place_operation import Demand, place_operation
from shared import db


def capture_payment(
    *,
    demand: Demand,
    amount_minor: int | None,
    is_final: bool,
    now: datetime,
) -> Operation:
    """
    Reserve an amount of the hold (all that is free by default) and plan the call that takes it.

    A final capture releases the rest of the hold when it is done. Publishes nothing yet: see
    `record_outcomes`.

    Raises:
        PaymentNotFound, PaymentNotCapturable, AlreadyCaptured, CaptureExceedsAuthorisation,
        IdempotencyKeyExpired.

    """
    with db.transaction():
        payment = get_payment_to_change(
            merchant_id=demand.merchant_id,
            payment_id=demand.payment_id,
            idempotency_key=demand.idempotency_key,
        )
        operation = Operation.to_capture(
            payment,
            amount_minor,
            is_final=is_final,
            idempotency_key=demand.idempotency_key,
            metadata=demand.metadata,
            now=now,
        )
        return place_operation(payment=payment, operation=operation)
