"""Who listens to what, and which rows of outside work exist: filled while Django starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from shared.events import catalogue
from shared.events.base import DomainEvent
from shared.models import Outstanding

Batch = Callable[..., None]
ListenerFunction = TypeVar("ListenerFunction", bound=Batch)
Row = TypeVar("Row", bound=Outstanding)
Work = TypeVar("Work")
Outcome = TypeVar("Outcome")


class Runner(StrEnum):
    """Who runs an intent's rows."""

    DISPATCHER = "dispatcher"
    CELERY = "celery"


DISPATCHER, CELERY = Runner.DISPATCHER, Runner.CELERY


QUICK_TRIES = (2, 4, 8, 16)
"""The pauses, in seconds, between the tries of what fails; after the last one it is parked."""


class AlreadyRegistered(Exception):
    """Two listeners or intents claim one id; ids are stored, so each must be unique for ever."""


@dataclass(frozen=True)
class Listener:
    """
    A registered listener: its stored id, what it takes, and its function.

    An outward one has no effect here: its events are sent to a broker (`externalise`).
    """

    id: str
    events: tuple[type[DomainEvent], ...]
    function: Batch
    outward: bool = field(default=False)


@dataclass(frozen=True)
class Intent:
    """A registered kind of outside work: its rows, how one is run and how outcomes are recorded."""

    id: str
    rows: type[Outstanding]
    runs_in: Runner
    run: Callable[[Any], Any]
    record: Callable[[Sequence[tuple[Any, Any]]], None]
    lease_seconds: int
    when_parked: Callable[[Any], None] | None = field(default=None)
    prepare: Callable[[Sequence[Any]], Sequence[Any]] | None = field(default=None)
    by_merchant: bool = field(default=False)
    pauses: tuple[int, ...] = field(default=QUICK_TRIES)
    """In seconds, after each failure but the last, which parks."""


listeners: dict[str, Listener] = {}
intents: dict[str, Intent] = {}


def listener(listener_id: str) -> Callable[[ListenerFunction], ListenerFunction]:
    """
    Register a function that takes a batch of events: `Sequence[Event]` or `Sequence[A | B]`.

    The id is stored with every publication and never derived from the function's name.

    What the machinery guarantees:
    - The function runs after the publisher's commit, in its own transaction. Its effect, the
      events it publishes and the end of its publications commit together: the effect happens
      exactly once.
    - Events of one correlation id arrive in the order they were published; a batch holds at most
      one event of each. Different stories run in parallel on any number of workers.
    - A batch that raises is rolled back and run again one event at a time. An event that raises
      alone is a failure: it waits 2^n seconds, and after 5 failures it is PARKED with its
      traceback. Its story waits for this listener; all others flow.
    - A dead worker, a lost connection, a deadlock is no failure: the events are due again
      within 2 seconds.

    In return the function opens no transaction and no socket, and is idempotent anyway (unique
    keys on the event id).
    """

    def register(function: ListenerFunction) -> ListenerFunction:
        if listener_id in listeners:
            raise AlreadyRegistered(listener_id)
        listeners[listener_id] = Listener(listener_id, _taken_by(function), function)
        ids_listening_to.cache_clear()
        return function

    return register


def intent(  # noqa: PLR0913 - every one is a keyword with a meaning of its own
    intent_id: str,
    *,
    rows: type[Row],
    runs_in: Runner,
    record: Callable[[Sequence[tuple[Row, Outcome]]], None],
    lease_seconds: int,
    when_parked: Callable[[Row], None] | None = None,
    prepare: Callable[[Sequence[Row]], Sequence[Work]] | None = None,
    by_merchant: bool = False,
    pauses: tuple[int, ...] = QUICK_TRIES,
) -> Callable[[Callable[[Any], Outcome]], Callable[[Any], Outcome]]:
    """
    Register how a module's rows of outside work are run, and how their outcomes are recorded.

    The decorated function takes one claimed row, outside any transaction, and returns an outcome;
    it may run more than once for a row, so what it calls must be idempotent by the row's id. It
    runs in a thread without a database; what it needs from there, `prepare` reads for all claimed
    rows at once: the function then takes what `prepare` made of its row.
    `record` takes the finished (row, outcome) pairs in one transaction, in which the rows are done
    unless it makes them due again. A row that raises waits as `pauses` say, in seconds and with
    jitter, and is PARKED when there is none left: unless told otherwise, after 5 failures in half a
    minute. `when_parked` then runs in the transaction that parks it. A runner that dies loses its
    lease after `lease_seconds`, and the row is claimed again. `by_merchant`: rows have a
    `merchant_id`, and no merchant's take all of a dispatcher's slots from the others.
    """

    def register(run: Callable[[Any], Outcome]) -> Callable[[Any], Outcome]:
        if intent_id in intents:
            raise AlreadyRegistered(intent_id)
        known = (intent_id, rows, runs_in, run, record, lease_seconds, when_parked, prepare)
        intents[intent_id] = Intent(*known, by_merchant=by_merchant, pauses=pauses)
        return run

    return register


def intent_id_of(rows: type[Outstanding]) -> str:
    """The id of the intent that such rows belong to; the table's name if it is no intent's."""
    ids = (entry.id for entry in intents.values() if entry.rows is rows)
    return next(ids, rows._meta.label_lower)


@lru_cache
def ids_listening_to(event: type[DomainEvent]) -> tuple[str, ...]:
    """The ids of the listeners that take this event."""
    return tuple(entry.id for entry in listeners.values() if issubclass(event, entry.events))


def listened_events(entry: Listener) -> list[type[DomainEvent]]:
    """The contracts a listener takes, as the catalogue lists them."""
    return [event for event in catalogue.contracts() if issubclass(event, entry.events)]


def _taken_by(function: Batch) -> tuple[type[DomainEvent], ...]:
    hints = get_type_hints(function)
    hints.pop("return", None)
    (sequence,) = hints.values()
    (element,) = get_args(sequence)
    return get_args(element) if isinstance(element, UnionType) else (element,)
