"""Reads of payments."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment
from payments.models.payment import PaymentQuerySet
from shared.errors import NotFound
from shared.event_bus.standing import Backlog, backlog_of


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


@dataclass(frozen=True)
class StatusCount:
    """How many payments are in a status, and how many of them were made lately."""

    status: PaymentStatus
    recent: int
    total: int


def count_by_status(*, since: datetime) -> list[StatusCount]:
    """Every status with its payments, `recent` being those made at `since` or later."""
    counts = Payment.objects.values_list("status").annotate(
        recent=Count("pk", filter=Q(created_at__gte=since)), total=Count("pk")
    )
    found = {status: (recent, total) for status, recent, total in counts}
    return [StatusCount(status, *found.get(status, (0, 0))) for status in PaymentStatus]


def operations_backlog(now: datetime) -> Backlog:
    """The calls to processors that are outstanding."""
    return backlog_of(Operation, now)
