"""The module's aggregates."""

from payments.models.operation import Operation
from payments.models.payment import Payment

__all__ = ["Operation", "Payment"]
