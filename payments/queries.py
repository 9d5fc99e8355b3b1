"""Reads of payments."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet, Sum

from payments.domain.lifecycle import HOLDING, PaymentStatus
from payments.domain.processor import OperationKind
from payments.models import (
    BreakerState,
    CircuitBreaker,
    Operation,
    Payment,
    Purpose,
    Resolution,
    StatusChange,
)
from payments.models.operation import OperationQuerySet
from payments.models.operation_table import IN_DOUBT
from payments.models.payment import PaymentQuerySet
from shared.errors import Conflict, NotFound
from shared.event_bus.standing import Backlog, backlog_of


class PaymentNotFound(NotFound):
    """There is no such payment."""


class OperationNotFound(NotFound):
    """There is no such operation."""


class RefundNotFound(NotFound):
    """There is no such refund."""


class IdempotencyKeyExpired(Conflict):
    """
    This idempotency key was used long ago, and its answer is no longer kept.

    Look the payment up, or use a new key for a new request.
    """


def get_payment(*, merchant_id: UUID, payment_id: UUID) -> Payment:
    """A payment of the merchant. Raises: PaymentNotFound, also for another merchant's."""
    payment = Payment.objects.filter(pk=payment_id, merchant_id=merchant_id).first()
    if payment is None:
        raise PaymentNotFound
    return payment


def get_payment_to_change(*, merchant_id: UUID, payment_id: UUID, idempotency_key: str) -> Payment:
    """
    A payment of the merchant, row-locked until the commit, for a demand under a fresh key.

    Raises:
        IdempotencyKeyExpired: another operation was asked for under the key.
        PaymentNotFound.

    """
    if Operation.objects.filter(merchant_id=merchant_id, idempotency_key=idempotency_key).exists():
        raise IdempotencyKeyExpired
    payment = Payment.objects.locked([payment_id]).get(str(payment_id))
    if payment is None or payment.merchant_id != merchant_id:
        raise PaymentNotFound
    return payment


def find_payment_by_key(*, merchant_id: UUID, idempotency_key: str) -> Payment | None:
    """The payment that the merchant asked for under this key."""
    return Payment.objects.filter(merchant_id=merchant_id, idempotency_key=idempotency_key).first()


def get_operation(*, merchant_id: UUID, operation_id: UUID) -> Operation:
    """An operation of the merchant's with its payment. Raises: OperationNotFound."""
    operations = Operation.objects.filter(merchant_id=merchant_id).select_related("payment")
    if (operation := operations.filter(pk=operation_id).first()) is None:
        raise OperationNotFound
    return operation


def get_refund(*, merchant_id: UUID, refund_id: UUID) -> Operation:
    """A refund of the merchant's. Raises: RefundNotFound."""
    refund = _refunds(merchant_id).filter(pk=refund_id).first()
    if refund is None:
        raise RefundNotFound
    return refund


def list_refunds(*, merchant_id: UUID, payment_id: UUID) -> OperationQuerySet:
    """The refunds of a payment. Raises: PaymentNotFound."""
    get_payment(merchant_id=merchant_id, payment_id=payment_id)
    return _refunds(merchant_id).filter(payment_id=payment_id)


def list_history(*, merchant_id: UUID, payment_id: UUID) -> list[StatusChange]:
    """A payment's steps from status to status, oldest first. Raises: PaymentNotFound."""
    payment = get_payment(merchant_id=merchant_id, payment_id=payment_id)
    return list(StatusChange.objects.filter(payment=payment).order_by("pk"))


def amounts_in_doubt(*, merchant_id: UUID) -> dict[str, int]:
    """What operations with unknown outcomes are about: minor units by currency."""
    doubtful = Operation.objects.filter(IN_DOUBT, merchant_id=merchant_id)
    sums = doubtful.values_list("currency").annotate(minor=Sum("amount_minor"))
    return {currency: int(minor) for currency, minor in sums}


def _refunds(merchant_id: UUID) -> OperationQuerySet:
    by_merchant = Operation.objects.filter(merchant_id=merchant_id, kind=OperationKind.REFUND)
    return by_merchant.exclude(purpose=Purpose.REVERSAL)


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


@dataclass(frozen=True)
class Waiting:
    """How many rows of a kind wait, and when the first of them began to, or will end."""

    count: int
    first_at: datetime | None


def operations_in_doubt() -> Waiting:
    """The operations whose outcome is unknown, and when the oldest was planned."""
    return _waiting(Operation.objects.filter(IN_DOUBT), "created_at")


def resolutions_waiting() -> Waiting:
    """The resolutions that a second person has to look at."""
    return _waiting(Resolution.objects.filter(state="OPEN"), "proposed_at")


def circuits_not_closed() -> Waiting:
    """The processors that are not called, or tried with one call, and since when."""
    return _waiting(CircuitBreaker.objects.exclude(state=BreakerState.CLOSED), "opened_at")


def holds_ending(*, before: datetime) -> Waiting:
    """The holds that end before an instant, and when the first does."""
    holding = Payment.objects.filter(status__in=HOLDING)
    return _waiting(holding.filter(capture_before__lt=before), "capture_before")


def _waiting(rows: QuerySet[Any], since: str) -> Waiting:
    return Waiting(**rows.aggregate(count=Count("pk"), first_at=Min(since)))


def find_story_of_payment(payment_id: UUID) -> UUID | None:
    """The correlation id of any merchant's payment: for operators."""
    stories = Payment.objects.filter(pk=payment_id).values_list("correlation_id", flat=True)
    return stories.first()


def find_payment_of_story(correlation_id: UUID, *, among: Collection[UUID]) -> Payment | None:
    """The payment that a story is about, if one of these ids is its: for operators."""
    return Payment.objects.filter(pk__in=among, correlation_id=correlation_id).first()


def list_operations(payment_id: UUID) -> list[Operation]:
    """A payment's calls to processors, oldest first: for operators."""
    return list(Operation.objects.filter(payment_id=payment_id).order_by("created_at", "pk"))
