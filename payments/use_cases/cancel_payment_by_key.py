"""Cancelling a payment whose answer never came, by the key it was asked with."""

from datetime import datetime
from uuid import UUID

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment, Purpose
from payments.models.payment import PaymentNotVoidable
from payments.queries import find_payment_by_key
from payments.use_cases.place_operation import place_operation
from shared import db
from shared.event_bus import publish
from shared.events.payments import PaymentTransactionFailed
from shared.models import IdempotencyRecord

CANCELLED = "cancelled"


def cancel_payment_by_key(
    *, merchant_id: UUID, cancel_key: str, idempotency_key: str, now: datetime
) -> Payment | None:
    """
    Undo the payment that was taken under `cancel_key`; None if the key was never seen.

    Not yet sent: it FAILS as `cancelled`. Sent or in doubt: it is voided as soon as it turns out to
    be authorised. AUTHORISED: its void is planned. A key never seen is burnt: a request that is
    still on its way finds it cancelled. Publishes Payment.Transaction.Failed.

    Raises:
        PaymentNotVoidable: it is captured, or being captured.
        KeyUsedElsewhere: the key was used, but for no payment.

    """
    with db.transaction():
        # First the key, then the payment: a request under way with this key ends before we look.
        is_new = IdempotencyRecord.objects.burn(merchant_id, cancel_key)
        found = find_payment_by_key(merchant_id=merchant_id, idempotency_key=cancel_key)
        if found is None:
            IdempotencyRecord.objects.expect_burnt(merchant_id, cancel_key)
            return None
        if is_new:
            IdempotencyRecord.objects.unburn(merchant_id, cancel_key)
        payment = Payment.objects.locked([found.pk])[str(found.pk)]
        _cancel(payment, idempotency_key, now)
        return payment


def _cancel(payment: Payment, idempotency_key: str, now: datetime) -> None:
    if payment.came_to_nothing:
        return
    if payment.is_decided:
        _void(payment, idempotency_key, now)
    elif payment.status == PaymentStatus.AUTHORISED:
        raise PaymentNotVoidable  # its capture is under way
    elif Operation.objects.take_back_unsent(payment):
        _fail(payment, now)
    else:
        payment.request_cancel(now=now)
        Payment.objects.write([payment])


def _void(payment: Payment, idempotency_key: str, now: datetime) -> None:
    if payment.captured_minor:
        raise PaymentNotVoidable
    if payment.is_closing and not payment.capturing_minor:
        return  # it is being released already
    operation = Operation.to_release(
        payment, purpose=Purpose.MERCHANT, idempotency_key=idempotency_key, now=now
    )
    place_operation(payment=payment, operation=operation)


def _fail(payment: Payment, now: datetime) -> None:
    if payment.awaits_review:
        # Through PENDING, which both steps of the lifecycle allow; a later review finds it gone.
        payment.pass_assessment(now=now)
        Payment.objects.write([payment])
    payment.fail(reason=CANCELLED, now=now)
    Payment.objects.write([payment])
    publish(PaymentTransactionFailed(**payment.facts(now), reason=CANCELLED))
