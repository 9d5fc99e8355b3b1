"""The trail."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import models

from shared import clock
from shared.events.base import DomainEvent
from shared.postgres.batches import insert_all
from shared.postgres.naming import schema_table


class RecordQuerySet(models.QuerySet["Record"]):
    """Writing the trail."""

    def append(self, events: Sequence[DomainEvent], *, now: datetime) -> None:
        """Record events in the order given; one recorded before is left alone."""
        insert_all([Record.of(event, now=now) for event in events], ignore_conflicts=True)


class Record(models.Model):
    """
    An event as it happened; never changed, never deleted.

    `id` grows in the order in which a story's events were recorded, which is the order in which
    they were published.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()
    event_type = models.TextField()
    version = models.SmallIntegerField()
    correlation_id = models.UUIDField()
    subject_id = models.UUIDField()
    merchant_id = models.UUIDField(null=True)
    occurred_at = models.DateTimeField()
    payload = models.JSONField()
    recorded_at = models.DateTimeField()

    append_only: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})
    objects: ClassVar[RecordQuerySet] = RecordQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("audit", "record")
        constraints = [
            models.UniqueConstraint(fields=["event_id"], name="record_once_per_event"),
        ]
        indexes = [
            models.Index(fields=["correlation_id", "id"], name="record_by_story"),
            models.Index(fields=["merchant_id", "occurred_at", "id"], name="record_by_merchant"),
        ]

    def __str__(self) -> str:
        """Type and number."""
        return f"{self.event_type} #{self.pk}"

    # Factories

    @classmethod
    def of(cls, event: DomainEvent, *, now: datetime) -> "Record":
        """The record of an event; not saved."""
        return cls(
            event_id=UUID(event.event_id),
            event_type=event.event_type,
            version=event.version,
            correlation_id=UUID(event.correlation_id),
            subject_id=UUID(event.subject_id),
            merchant_id=UUID(event.merchant_id) if event.merchant_id else None,
            occurred_at=clock.parse(event.occurred_at),
            payload=event.payload(),
            recorded_at=now,
        )
