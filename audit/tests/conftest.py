"""What the tests of the module begin with: recorded events."""

from typing import Any

from audit.models import Record
from audit.use_cases.record_events import record_events
from shared import clock
from shared.events.base import DomainEvent
from shared.events.payments import PaymentTransactionInitiated
from shared.testing.events import example


def recorded(*events: DomainEvent) -> list[Record]:
    """The records of these events, brought in one batch, in the order of the trail."""
    record_events(events=events, now=clock.now())
    ids = [event.event_id for event in events]
    return list(Record.objects.filter(event_id__in=ids).order_by("id"))


def initiated(**changes: Any) -> PaymentTransactionInitiated:
    """An event of a payment."""
    return example(PaymentTransactionInitiated, **changes)
