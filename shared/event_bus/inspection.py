"""
Outstanding work row by row: what an operator reads before acting on one of them.

Reads only, and never more than `limit` rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from shared import clock
from shared.errors import NotFound
from shared.event_bus import standing
from shared.event_bus._registry import intents
from shared.event_bus.standing import State
from shared.events.catalogue import UnknownEventType, contract
from shared.models import Event, Outstanding, Publication

WAITING_SHOWN = 10
_COUNTED = 10_000


class NoSuchPublication(NotFound):
    """There is no such publication: its listener is done with it, or it never was."""


class NoSuchEvent(NotFound):
    """No event of this id is retained, and no outside work has it; the audit trail may know it."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """An outstanding row: for whom, about what, how far."""

    kind: str
    """A listener's id, or an intent's."""
    id: str
    about: str
    story: UUID
    state: State
    attempts: int
    failures: int
    due_at: datetime | None
    parked_at: datetime | None
    created_at: datetime
    last_error: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A publication with what it holds back: later ones of its story for the same listener."""

    piece: Piece
    behind_it: tuple[str, ...]
    """The first of them, as `id type`."""
    behind_it_count: int


@dataclass(frozen=True, kw_only=True)
class Told:
    """A retained event and the publications it still has."""

    event: Event
    envelope: dict[str, Any]
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which outstanding rows to list; empty means any."""

    listener_id: str = ""
    intent_id: str = ""
    story: UUID | None = None
    only_parked: bool = False


def list_pieces(chosen: Chosen, *, limit: int, now: datetime) -> list[Piece]:
    """Outstanding rows, oldest first: publications, then rows of outside work."""
    found = [] if chosen.intent_id else _list_publications(chosen, limit, now)
    if chosen.listener_id:
        return found
    for name, intent in sorted(intents.items()):
        if chosen.intent_id in ("", name):
            work = intent.rows._default_manager.filter(standing.IS_OUTSTANDING)
            oldest = _of(chosen, work).order_by("created_at")[: limit - len(found)]
            found += [_work(row, name, now) for row in oldest]
    return found


def get_work(row_id: UUID, *, now: datetime) -> Piece:
    """A row of outside work, done or not, of whichever intent. Raises: NoSuchEvent."""
    for name, intent in sorted(intents.items()):
        if row := intent.rows._default_manager.filter(pk=row_id).first():
            return _work(row, name, now)
    raise NoSuchEvent


def get_publication(publication_id: int, *, now: datetime) -> Told:
    """A publication and its event. Raises: NoSuchPublication."""
    row = _publications().filter(pk=publication_id).first()
    if row is None:
        raise NoSuchPublication
    return Told(event=row.event, envelope=_envelope(row.event), waiting=(_waiting(row, now),))


def get_event(event_id: UUID, *, now: datetime) -> Told:
    """An event and all its publications. Raises: NoSuchEvent."""
    event = Event.objects.filter(event_id=event_id).first()
    if event is None:
        raise NoSuchEvent
    rows = publications_of(event)
    waiting = tuple(_waiting(row, now) for row in rows.order_by("listener_id"))
    return Told(event=event, envelope=_envelope(event), waiting=waiting)


def publications_of(event: Event) -> QuerySet[Publication]:
    """What listeners still have to do about an event."""
    story = {"correlation_id": event.correlation_id, "event_id": event.pk}
    return _publications().filter(listener_id__in=_listener_ids(), **story)


def count_behind(row: Publication) -> int:
    """How many later publications of its story wait for the same listener; counts to 10,000."""
    return _behind(row)[:_COUNTED].count()


def _behind(row: Publication) -> QuerySet[Publication]:
    story = {"listener_id": row.listener_id, "correlation_id": row.correlation_id}
    return Publication.objects.filter(event_id__gt=row.event_id, **story)


def _publications() -> QuerySet[Publication]:
    behind = standing.behind_a_parked_one()
    return Publication.objects.select_related("event").annotate(is_behind=behind)


def _list_publications(chosen: Chosen, limit: int, now: datetime) -> list[Piece]:
    rows = _publications().filter(listener_id__in=_listener_ids(chosen.listener_id))
    # The sort is not by an index: `limit` bounds what is sent, the filters what is read.
    return [_publication(row, now) for row in _of(chosen, rows).order_by("event_id")[:limit]]


def _of(chosen: Chosen, rows: QuerySet[Any]) -> QuerySet[Any]:
    if chosen.story:
        rows = rows.filter(correlation_id=chosen.story)
    return rows.filter(parked_at__isnull=False) if chosen.only_parked else rows


def _listener_ids(listener_id: str = "") -> Sequence[str]:
    # Naming them all lets PostgreSQL use the index that begins with the listener.
    return [listener_id] if listener_id else standing.listener_ids_with_work()


def _waiting(row: Publication, now: datetime) -> Waiting:
    first = _behind(row).select_related("event").order_by("event_id")[:WAITING_SHOWN]
    return Waiting(
        piece=_publication(row, now),
        behind_it=tuple(f"{one.pk} {_type(one.event)}" for one in first),
        behind_it_count=count_behind(row),
    )


def _publication(row: Any, now: datetime) -> Piece:
    state = standing.state_of(row, now)
    if row.is_behind and state is not State.PARKED:
        state = State.BLOCKED
    return _piece(row, row.listener_id, _type(row.event), state)


def _work(row: Outstanding, name: str, now: datetime) -> Piece:
    return _piece(row, name, str(row), standing.state_of(row, now))


def _piece(row: Outstanding, kind: str, about: str, state: State) -> Piece:
    return Piece(
        kind=kind,
        id=str(row.pk),
        about=about,
        story=row.correlation_id,
        state=state,
        attempts=row.attempts,
        failures=row.failures,
        due_at=row.due_at,
        parked_at=row.parked_at,
        created_at=row.created_at,
        last_error=row.last_error,
    )


def _type(event: Event) -> str:
    return f"{event.event_type}.v{event.version}"


def _envelope(event: Event) -> dict[str, Any]:
    base = {
        "event_id": str(event.event_id),
        "correlation_id": str(event.correlation_id),
        "subject_id": str(event.subject_id),
        "merchant_id": str(event.merchant_id) if event.merchant_id else None,
        "occurred_at": clock.iso(event.occurred_at),
    }
    try:
        return contract(event.event_type, event.version).restored(event.payload, **base).envelope()
    except (UnknownEventType, TypeError, ValueError) as error:
        # Just such an event is looked at here: what is stored is shown as it is.
        return {**base, "payload": event.payload, "unreadable": f"{type(error).__name__}: {error}"}
