"""Reads of the trail."""

from uuid import UUID

from audit.models import Record, RecordQuerySet


def list_records(*, merchant_id: UUID, event_type: str | None = None) -> RecordQuerySet:
    """The merchant's trail, of one event type if asked."""
    records = Record.objects.filter(merchant_id=merchant_id)
    return records.filter(event_type=event_type) if event_type else records


def list_story(*, merchant_id: UUID, correlation_id: UUID) -> list[Record]:
    """The records of one story, oldest first."""
    records = Record.objects.filter(merchant_id=merchant_id, correlation_id=correlation_id)
    return list(records.order_by("id"))
