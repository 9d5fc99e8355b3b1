"""Recording events."""

from collections.abc import Sequence
from datetime import datetime

from audit.models import Record
from shared.events.base import DomainEvent


def record_events(*, events: Sequence[DomainEvent], now: datetime) -> None:
    """Append events to the trail, in order; one recorded before is left alone."""
    Record.objects.append(events, now=now)
