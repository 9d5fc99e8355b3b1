"""Reads of payments."""

from uuid import UUID

from payments.models import Payment
from payments.models.payment import PaymentQuerySet
from shared.errors import NotFound


class PaymentNotFound(NotFound):
    """There is no such payment."""


def get_payment(*, merchant_id: UUID, payment_id: UUID) -> Payment:
    """A payment of the merchant. Raises: PaymentNotFound, also for another merchant's."""
    payment = Payment.objects.filter(pk=payment_id, merchant_id=merchant_id).first()
    if payment is None:
        raise PaymentNotFound
    return payment


def list_payments(*, merchant_id: UUID, status: str | None = None) -> PaymentQuerySet:
    """The merchant's payments, in one status if asked."""
    payments = Payment.objects.filter(merchant_id=merchant_id)
    return payments.filter(status=status) if status else payments
