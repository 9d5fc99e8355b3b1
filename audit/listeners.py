"""What the module reacts to: everything."""

from collections.abc import Sequence

from audit.use_cases.record_events import record_events
from shared import clock
from shared.event_bus import listener
from shared.events.base import DomainEvent


@listener("audit.record_event")
def on_any_event(events: Sequence[DomainEvent]) -> None:
    """Record it."""
    record_events(events=events, now=clock.now())
