"""Letting holds end whose time is over."""

from datetime import datetime

from payments import conf
from payments.models import Operation, Payment, Purpose
from shared import db
from shared.event_bus import wake


def expire_holds(*, now: datetime) -> int:
    """
    Plan the release of every hold that was not captured in time; returns how many.

    A payment that is being captured or voided waits for that to end. Each batch is a transaction
    of its own. Publishes nothing yet: see `record_outcomes`.
    """
    expired = 0
    while batch := _expire_some(now):
        expired += batch
    return expired


def _expire_some(now: datetime) -> int:
    with db.transaction():
        payments = Payment.objects.locked_overdue(now=now, limit=conf.EXPIRE_AT_ONCE)
        Operation.objects.plan(
            [Operation.to_release(payment, purpose=Purpose.EXPIRY, now=now) for payment in payments]
        )
        Payment.objects.write(payments)
        if payments:
            wake("payments.operation")
    return len(payments)
