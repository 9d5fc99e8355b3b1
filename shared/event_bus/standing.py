"""
How outstanding work stands: what operators look at before they retry or skip anything.

Reads only; `shared.event_bus.operating` acts.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from shared.event_bus import schedule
from shared.event_bus._registry import intents, listeners
from shared.models import Outstanding, Publication, ScheduledRun

Row = TypeVar("Row", bound=Outstanding)

OVERDUE_AFTER = timedelta(seconds=15)
"""Work that was due longer ago than this: nobody takes it, though every dispatcher polls by the
second."""
IS_OUTSTANDING = Q(due_at__isnull=False) | Q(parked_at__isnull=False)
"""Neither done nor given up."""
LISTENERS_WITH_WORK = """
waiting_listener (id) AS (
    (SELECT listener_id FROM shared.publication ORDER BY listener_id LIMIT 1)
    UNION ALL
    SELECT (SELECT listener_id FROM shared.publication
            WHERE listener_id > waiting_listener.id ORDER BY listener_id LIMIT 1)
    FROM waiting_listener WHERE waiting_listener.id IS NOT NULL
)
"""
"""A recursive query's part that hops along the index from one listener to the next, then to NULL.

With their names a statement can use that index for publications of a story or an event."""
LATE_AFTER = timedelta(minutes=3)
"""A job whose slot began longer ago than this and was not taken: beat ticks once a minute."""


class State(StrEnum):
    """What an outstanding row waits for."""

    PARKED = "parked"
    """An operator."""
    BLOCKED = "blocked"
    """An earlier publication of its story and listener that is parked."""
    OVERDUE = "overdue"
    """A worker, for longer than 15 seconds."""
    WAITING = "waiting"
    """A worker, or the time of its next try."""
    DONE = "done"
    """Nothing: it was done, or given up."""


@dataclass(frozen=True)
class Backlog:
    """How much work of one kind is outstanding, how much of it in trouble, since when."""

    name: str
    outstanding: int
    overdue: int
    parked: int
    blocked: int | None
    """None: such rows do not wait for each other."""
    oldest_at: datetime | None


@dataclass(frozen=True)
class LastRun:
    """
    The last slot of a job that was taken, and whether the next one is late.

    A job that never ran is not late yet: a fresh installation has to tick once first.
    """

    job: str
    scheduled_at: datetime | None
    is_late: bool


def states_of(rows: type[Outstanding]) -> tuple[State, ...]:
    """The states such rows can be in: publications are deleted when done, intents never blocked."""
    missing = State.DONE if _has_order(rows) else State.BLOCKED
    return tuple(state for state in State if state is not missing)


def in_state(rows: QuerySet[Row], state: State, now: datetime) -> QuerySet[Row]:
    """Those of the rows that are in a state."""
    if state is State.PARKED:
        return rows.filter(parked_at__isnull=False)
    if state is State.DONE:
        return rows.filter(parked_at=None, due_at=None)
    due = rows.filter(due_at__isnull=False)
    if state is State.BLOCKED:
        return due.filter(behind_a_parked_one()) if _has_order(rows.model) else rows.none()
    if _has_order(rows.model):
        due = due.exclude(behind_a_parked_one())
    is_overdue = Q(due_at__lt=now - OVERDUE_AFTER)
    return due.filter(is_overdue if state is State.OVERDUE else ~is_overdue)


def state_of(row: Outstanding, now: datetime) -> State:
    """The state of one row; a blocked one reads as waiting, since that is a fact about others."""
    if row.is_parked:
        return State.PARKED
    if row.due_at is None:
        return State.DONE
    return State.OVERDUE if row.due_at < now - OVERDUE_AFTER else State.WAITING


def behind_a_parked_one() -> Exists:
    """Of a publication: whether it, or an earlier one of its story and listener, is parked."""
    return Exists(
        Publication.objects.filter(
            listener_id=OuterRef("listener_id"),
            correlation_id=OuterRef("correlation_id"),
            parked_at__isnull=False,
        )
    )


def is_behind(now: datetime) -> bool:
    """
    Whether publications wait that somebody should have taken: no dispatcher runs, or too few.

    What waits for another system's broker says nothing about dispatchers.
    """
    outward = [entry.id for entry in listeners.values() if entry.outward]
    ours = Publication.objects.exclude(listener_id__in=outward)
    return in_state(ours, State.OVERDUE, now).exists()


def listener_ids() -> list[str]:
    """The ids of every registered listener, in alphabetical order."""
    return sorted(listeners)


def listener_ids_with_work() -> list[str]:
    """The ids of listeners with publications, registered or not; cheap however many there are."""
    with connection.cursor() as cursor:
        cursor.execute(f"WITH RECURSIVE {LISTENERS_WITH_WORK} SELECT * FROM waiting_listener")
        return [listener_id for (listener_id,) in cursor.fetchall() if listener_id]


def backlog_by_listener(now: datetime) -> list[Backlog]:
    """The outstanding publications per listener; listeners without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_BACKLOG_BY_LISTENER, [now - OVERDUE_AFTER])
        return [Backlog(*row) for row in cursor.fetchall()]


def backlog_of(rows: type[Outstanding], now: datetime) -> Backlog:
    """The outstanding rows of an intent."""
    sums: dict[str, Any] = rows._default_manager.filter(IS_OUTSTANDING).aggregate(
        outstanding=Count("pk"),
        overdue=Count("pk", filter=Q(due_at__lt=now - OVERDUE_AFTER)),
        parked=Count("pk", filter=Q(parked_at__isnull=False)),
        oldest_at=Min("created_at"),
    )
    return Backlog(name=str(rows._meta.verbose_name_plural), blocked=None, **sums)


def backlog_by_intent(now: datetime) -> list[Backlog]:
    """The outstanding rows of every intent, under its id."""
    return [
        replace(backlog_of(intent.rows, now), name=name) for name, intent in sorted(intents.items())
    ]


def last_runs(now: datetime) -> list[LastRun]:
    """Every scheduled job with its last run."""
    return [_last_run(job, now) for _, job in sorted(schedule.jobs.items())]


def _last_run(job: schedule.Job, now: datetime) -> LastRun:
    slots = ScheduledRun.objects.filter(job=job.id).order_by("-scheduled_at")
    last = slots.values_list("scheduled_at", flat=True).first()
    due = job.schedule.slot(now - LATE_AFTER)
    return LastRun(job.id, last, is_late=last is not None and last < due)


def _has_order(rows: type[Outstanding]) -> bool:
    return issubclass(rows, Publication)


# Joined to what is parked: an EXISTS per row takes fifteen times as long on half a million.
_BACKLOG_BY_LISTENER = """
SELECT listener_id, COUNT(*),
       COUNT(*) FILTER (WHERE due_at < %s AND parked.listener_id IS NULL),
       COUNT(*) FILTER (WHERE parked_at IS NOT NULL),
       COUNT(*) FILTER (WHERE parked_at IS NULL AND parked.listener_id IS NOT NULL),
       MIN(created_at)
FROM shared.publication
LEFT JOIN (SELECT DISTINCT listener_id, correlation_id FROM shared.publication
           WHERE parked_at IS NOT NULL) AS parked USING (listener_id, correlation_id)
GROUP BY listener_id ORDER BY listener_id
"""
