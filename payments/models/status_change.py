"""The history of payments, written by PostgreSQL itself."""

from typing import ClassVar

from django.db import models

from payments.domain.lifecycle import PaymentStatus
from payments.models.payment import Payment
from shared.postgres.naming import schema_table


class StatusChange(models.Model):
    """
    A step of a payment from one status to another, or its beginning.

    A trigger of the payment's table writes it: whatever changes a status, this is told of it.
    """

    id = models.BigAutoField(primary_key=True)
    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, related_name="history", db_constraint=False
    )
    status_from = models.TextField(choices=[(s, s.name) for s in PaymentStatus], blank=True)
    status_to = models.TextField(choices=[(s, s.name) for s in PaymentStatus])
    reason = models.TextField(default="", blank=True)
    at = models.DateTimeField()

    append_only: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    class Meta:
        db_table = schema_table("payments", "status_change")

    def __str__(self) -> str:
        """From, to."""
        return f"{self.status_from or 'new'} → {self.status_to}"
