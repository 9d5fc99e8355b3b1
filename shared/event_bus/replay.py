"""
Giving a listener retained events again: into an empty projection, or one that lost something.

Listeners are idempotent, so what is there already stays as it is: a replay fills gaps and changes
no row.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from shared import db
from shared.errors import NotFound
from shared.event_bus._doorbell import wake
from shared.event_bus._registry import listened_events, listeners
from shared.event_bus.operating import tell

BATCH_SIZE = 1_000
EVENTS_ARE_CHANGING = 5_120_040_718
"""
The advisory lock under which old events get publications, or are purged.

Without it the purge could miss, in its snapshot, a publication that is written while it waits.
"""

# Batches are windows of events, not of matches: a rare type must not make one statement read the
# registry. Ascending, so that a story's events become heads in their order.
_MAKE = """
WITH looked_at AS (
    SELECT sequence, correlation_id, event_type, published_at
    FROM shared.event
    WHERE sequence > %(after)s AND sequence <= %(last)s
      AND (correlation_id = %(story)s OR %(story)s::uuid IS NULL)
    ORDER BY sequence LIMIT %(limit)s
), made AS (
    INSERT INTO shared.publication (event_id, listener_id, correlation_id)
    SELECT sequence, %(listener_id)s, correlation_id
    FROM looked_at
    WHERE event_type = ANY(%(types)s)
      AND (published_at >= %(since)s OR %(since)s::timestamptz IS NULL)
      AND (published_at < %(until)s OR %(until)s::timestamptz IS NULL)
    ORDER BY sequence
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
SELECT max(sequence), (SELECT count(*) FROM made), (SELECT min(event_id) FROM made),
       (SELECT max(event_id) FROM made)
FROM looked_at
"""
# OFFSET 0 keeps min() from walking the primary key, which knows nothing of time.
_BOUNDS_BY_TIME = """
SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0)
FROM (SELECT sequence FROM shared.event
      WHERE published_at >= coalesce(%s, '-infinity'::timestamptz)
        AND published_at < coalesce(%s, 'infinity'::timestamptz)
      OFFSET 0) AS published
"""
_NEWEST = "SELECT coalesce(max(sequence), 0) FROM shared.event"


class NoSuchListener(NotFound):
    """No listener of this id is registered."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """
    Which retained events are given again: those that meet everything that is set.

    `first` and `last` are sequences and belong to the range, as `since` does; `until` does not.
    """

    story: UUID | None = None
    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def replay(chosen: Range, *, listener_id: str, actor: str, reason: str, now: datetime) -> int:
    """
    Make publications for one listener again; returns how many.

    A batch at a time, each a transaction of its own with the audit's `Operator.Action.Taken`. What
    is outstanding already is left alone, and what is published from now on is no part of it.

    Raises:
        NoSuchListener: none of this id is registered.
        ReasonRequired: the reason is empty.

    """
    if listener_id not in listeners:
        raise NoSuchListener(
            f"No listener {listener_id!r}; there are {', '.join(sorted(listeners))}."
        )
    types = [event.event_type for event in listened_events(listeners[listener_id])]
    first, last = _bounds(chosen)
    facts = asdict(chosen) | {"listener_id": listener_id, "types": types, "last": last}
    made, after = 0, first - 1
    while after < last:
        batch = _make_batch(facts | {"after": after}, actor=actor, reason=reason, now=now)
        made, after = made + batch.made, batch.after or last
    return made


@dataclass(frozen=True)
class _Batch:
    after: int | None
    made: int
    first: int | None
    last: int | None


def _make_batch(facts: dict[str, Any], *, actor: str, reason: str, now: datetime) -> _Batch:
    listener_id = facts["listener_id"]
    with db.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [EVENTS_ARE_CHANGING])
        cursor.execute(_MAKE, facts | {"limit": BATCH_SIZE})
        batch = _Batch(*cursor.fetchone())
        if batch.made:
            about = f"{listener_id}: {batch.made} events from {batch.first} to {batch.last}"
            action = "shared.publication.replay"
            tell(actor=actor, action=action, subject=about, reason=reason, now=now)
            wake(listener_id)
    return batch


def _bounds(chosen: Range) -> tuple[int, int]:
    with connection.cursor() as cursor:
        if chosen.since or chosen.until:
            cursor.execute(_BOUNDS_BY_TIME, [chosen.since, chosen.until])
            oldest, newest = cursor.fetchone()
        else:
            cursor.execute(_NEWEST)
            oldest, newest = 1, cursor.fetchone()[0]
    last = newest if chosen.last is None else min(chosen.last, newest)
    return max(chosen.first or 1, oldest), last
