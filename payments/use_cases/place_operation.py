"""Committing a payment's next call before it is made."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from payments.models import Operation, Payment
from payments.queries import IdempotencyKeyExpired
from shared import db
from shared.event_bus import wake


@dataclass(frozen=True)
class Demand:
    """What a merchant says with everything asked of a payment; `metadata` is kept with it."""

    merchant_id: UUID
    payment_id: UUID
    idempotency_key: str
    metadata: dict[str, Any] = field(default_factory=dict)


def place_operation(*, payment: Payment, operation: Operation) -> Operation:
    """
    Store an operation with what its payment reserved for it, inside the caller's transaction.

    Raises:
        IdempotencyKeyExpired: the merchant used its key for another operation before.

    """
    Payment.objects.write([payment])
    try:
        Operation.objects.place(operation)
    except IntegrityError as error:
        if db.violated_constraint(error) == "uq_operation_idempotency_key":
            raise IdempotencyKeyExpired from None
        raise
    wake("payments.operation")
    return operation
