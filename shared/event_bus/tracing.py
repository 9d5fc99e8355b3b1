"""One story as the registry knows it: its events, who listens, and what is still to be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.event_bus import standing
from shared.event_bus._registry import ids_listening_to
from shared.event_bus.standing import State
from shared.events.catalogue import UnknownEventType, contract
from shared.models import Event, Publication


@dataclass(frozen=True)
class Delivery:
    """
    A listener of an event and how far it is.

    A publication is deleted with the listener's effect, so DONE is told of a listener that has
    none: it took the event, or an operator skipped it with a reason.
    """

    listener_id: str
    state: State
    publication: Publication | None


@dataclass(frozen=True)
class Step:
    """An event and its deliveries, by listener."""

    event: Event
    deliveries: tuple[Delivery, ...]


def trace(story: UUID, *, now: datetime) -> list[Step]:
    """The story's retained events, in the order in which they were published."""
    # Naming the listeners lets PostgreSQL use the index that begins with them.
    named = {"listener_id__in": standing.listener_ids_with_work()}
    rows = Publication.objects.filter(correlation_id=story, **named)
    waiting = {(row.event_id, row.listener_id): row for row in rows.order_by("event_id")}
    events = Event.objects.filter(correlation_id=story).order_by("sequence")
    return [Step(event, tuple(_deliveries(event, waiting, now))) for event in events]


def _deliveries(
    event: Event, waiting: dict[tuple[int, str], Publication], now: datetime
) -> Sequence[Delivery]:
    outstanding = {name for number, name in waiting if number == event.pk}
    names = sorted(outstanding | set(_listeners_of(event)))
    return [_delivery(name, waiting.get((event.pk, name)), waiting, now) for name in names]


def _delivery(
    name: str,
    row: Publication | None,
    waiting: dict[tuple[int, str], Publication],
    now: datetime,
) -> Delivery:
    if row is None:
        return Delivery(name, State.DONE, None)
    earlier = [r for (number, n), r in waiting.items() if n == name and number < row.event_id]
    is_blocked = not row.is_parked and any(one.is_parked for one in earlier)
    return Delivery(name, State.BLOCKED if is_blocked else standing.state_of(row, now), row)


def _listeners_of(event: Event) -> Sequence[str]:
    try:
        return ids_listening_to(contract(event.event_type, event.version))  # type: ignore[arg-type]
    except UnknownEventType:
        return ()
