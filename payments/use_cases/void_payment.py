"""Releasing held funds at the merchant's wish."""

from datetime import datetime

from payments.models import Operation, Purpose
from payments.queries import get_payment_to_change
from payments.use_cases.place_operation import Demand, place_operation
from shared import db


def void_payment(*, demand: Demand, now: datetime) -> Operation:
    """
    Close the hold to captures and plan the call that releases what is left of it.

    Publishes nothing yet: see `record_outcomes`.

    Raises:
        PaymentNotFound, PaymentNotVoidable, IdempotencyKeyExpired.

    """
    with db.transaction():
        payment = get_payment_to_change(
            merchant_id=demand.merchant_id,
            payment_id=demand.payment_id,
            idempotency_key=demand.idempotency_key,
        )
        operation = Operation.to_release(
            payment, purpose=Purpose.MERCHANT, idempotency_key=demand.idempotency_key, now=now
        )
        return place_operation(payment=payment, operation=operation)
