"""Reads of the trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
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


@dataclass(frozen=True)
class Retold:
    """A record as anybody would write it from the same event: without what is its own."""

    story: UUID
    event_id: UUID
    event_type: str
    said: dict[str, Any]
    """Version, subject, merchant, time and payload, as JSON has them."""


def list_recorded(stories: Sequence[UUID]) -> list[Retold]:
    """Every record of some stories, in the order of recording."""
    return [_retold(r) for r in Record.objects.filter(correlation_id__in=stories).order_by("id")]


def _retold(record: Record) -> Retold:
    said = {
        "version": record.version,
        "subject": str(record.subject_id),
        "merchant": record.merchant_id and str(record.merchant_id),
        "time": record.occurred_at.isoformat(),
        "payload": record.payload,
    }
    return Retold(record.correlation_id, record.event_id, record.event_type, said)


@dataclass(frozen=True)
class Recorded:
    """That an event happened, without what it said."""

    event_id: UUID
    event_type: str
    version: int
    subject_id: UUID
    occurred_at: datetime


def list_recorded_story(correlation_id: UUID) -> list[Recorded]:
    """The events of one story, oldest first, whoever's they are: for operators."""
    records = Record.objects.filter(correlation_id=correlation_id).order_by("id")
    names = ("event_id", "event_type", "version", "subject_id", "occurred_at")
    return [Recorded(*row) for row in records.values_list(*names)]
