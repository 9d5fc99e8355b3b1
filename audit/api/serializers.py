"""What the module's endpoint gives."""

from typing import Any

from rest_framework import serializers

from audit.models import Record
from shared import clock


class RecordResource(serializers.Serializer[Any]):
    """An event of the trail."""

    eventId = serializers.UUIDField()
    eventType = serializers.CharField()
    version = serializers.IntegerField()
    occurredAt = serializers.DateTimeField()
    correlationId = serializers.UUIDField()
    payload = serializers.DictField()


class RecordList(serializers.Serializer[Any]):
    """A page of the trail."""

    data = RecordResource(many=True)  # type: ignore[assignment]
    nextCursor = serializers.CharField(allow_null=True)


class Story(serializers.Serializer[Any]):
    """The events of one story, oldest first."""

    data = RecordResource(many=True)  # type: ignore[assignment]


def record_resource(record: Record) -> dict[str, Any]:
    """A record as the API shows it."""
    return {
        "eventId": str(record.event_id),
        "eventType": record.event_type,
        "version": record.version,
        "occurredAt": clock.iso(record.occurred_at),
        "correlationId": str(record.correlation_id),
        "payload": record.payload,
    }
