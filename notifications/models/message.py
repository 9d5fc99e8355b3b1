"""Messages to merchants: intent rows of outside work."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q

from shared.events.base import DomainEvent
from shared.identifiers import new_id
from shared.models import Outstanding
from shared.postgres.batches import insert_all
from shared.postgres.naming import schema_table


class MessageQuerySet(models.QuerySet["Message"]):
    """Batch writes of messages."""

    def enqueue(self, messages: Sequence["Message"]) -> None:
        """Insert messages, due now; one that the same event caused before is left alone."""
        insert_all(messages, ignore_conflicts=True)

    def note_sent(self, message_ids: Sequence[UUID], *, now: datetime) -> None:
        """Note when messages were handed over."""
        self.filter(pk__in=message_ids).update(sent_at=now)


class Message(Outstanding):
    """
    An e-mail to a merchant, written down before it is sent.

    What fails is tried again after seconds, then by the hour for a day. Handed over at least once:
    a worker that dies between sending and recording sends it again, with the same `Message-ID`, so
    that mail readers show it once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    failures = models.SmallIntegerField(
        db_default=0, help_text="Failures so far; after the quick tries it is tried by the hour."
    )
    event_id = models.UUIDField(help_text="The event it tells of.")
    merchant_id = models.UUIDField()
    recipient = models.TextField()
    template = models.TextField()
    context = models.JSONField(default=dict)
    sent_at = models.DateTimeField(null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        db_table = schema_table("notifications", "message")
        constraints = [
            models.UniqueConstraint(fields=["event_id", "template"], name="message_once_per_event"),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="message_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=["parked_at"], name="message_parked", condition=Q(parked_at__isnull=False)
            ),
            models.Index(fields=["merchant_id", "created_at"], name="message_by_merchant"),
        ]

    def __str__(self) -> str:
        """Template and recipient."""
        return f"{self.template} to {self.recipient}"

    # Factories

    @classmethod
    def about(
        cls, event: DomainEvent, *, template: str, recipient: str, context: dict[str, Any]
    ) -> "Message":
        """A message that tells of an event; not saved."""
        return cls(
            event_id=UUID(event.event_id),
            correlation_id=UUID(event.correlation_id),
            merchant_id=UUID(event.merchant_id),
            recipient=recipient,
            template=template,
            context=context,
        )

    # Mutators

    def readdress(self, email: str) -> None:
        """Send it to another address than it was written for."""
        self.recipient = email
        self.save(update_fields=["recipient"])
