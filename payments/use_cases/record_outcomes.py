"""Recording what became of operations, for a batch."""

from collections.abc import Sequence
from datetime import datetime

from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from shared import db
from shared.event_bus import publish, wake
from shared.events.payments import (
    PaymentEvent,
    PaymentTransactionAuthorised,
    PaymentTransactionDeclined,
    PaymentTransactionFailed,
)


def record_outcomes(*, finished: Sequence[tuple[Operation, Outcome]], now: datetime) -> None:
    """
    Move payments to where their processor's answer puts them.

    APPROVED → AUTHORISED, DECLINED → DECLINED, NOT_SENT for the fifth time → FAILED; anything
    unknown leaves the payment PENDING and in doubt, and the operation due for an inquiry. An answer
    about a payment that is decided changes nothing of it.
    Publishes Payment.Transaction.Authorised, …Declined and …Failed.
    """
    with db.transaction():
        payments = Payment.objects.locked([operation.payment_id for operation, _ in finished])
        for operation, outcome in finished:
            operation.conclude(outcome, now=now)
        Operation.objects.write_outcomes([operation for operation, _ in finished])
        changed = [
            (payments[str(operation.payment_id)], operation)
            for operation, _ in finished
            if payments[str(operation.payment_id)].awaits_processor
        ]
        events = [_move(payment, operation, now) for payment, operation in changed]
        Payment.objects.write([payment for payment, _ in changed])
        publish(*(event for event in events if event is not None))
        if any(operation.is_open for operation, _ in finished):
            wake("payments.operation")


def _move(payment: Payment, operation: Operation, now: datetime) -> PaymentEvent | None:
    if operation.outcome == OutcomeKind.APPROVED:
        payment.authorise(now=now)
        return PaymentTransactionAuthorised(
            **payment.facts(now),
            processor=operation.processor,
            processor_reference=operation.processor_reference,
        )
    if operation.outcome == OutcomeKind.DECLINED:
        payment.decline(reason=operation.reason, now=now)
        return PaymentTransactionDeclined(**payment.facts(now), reason=operation.reason)
    if operation.is_open:
        payment.await_processor(in_doubt=operation.is_in_doubt, now=now)
        return None
    payment.fail(reason="processor_unreachable", now=now)
    return PaymentTransactionFailed(**payment.facts(now), reason="processor_unreachable")
