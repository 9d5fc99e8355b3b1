"""
The registry's queues in SQL: which publications are claimed, put off and removed.

# Note [A claim looks at a window]

However many publications are outstanding, a claim looks at the few hundred that have been due for
the longest. Those that are heads, the oldest of their (listener, story), are claimed. Followers of
a head that is parked or backed off would fill the window for ever; when a batch does not fill from
it they are put off: due again when their head is, or in a minute. That is a hint and no state: the
end of a head makes its follower due at once, and a hint that came too late costs a delay, never an
event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings
from django.db import connection

from shared.event_bus import _outstanding
from shared.event_bus._outstanding import Claim, Item, Shore
from shared.event_bus._registry import listeners

BATCH_SIZE = settings.BATCH_SIZE
LEASE_SECONDS = 2
_WINDOW = 4
"""Batches that a claim looks at: as many of its rows may be followers before batches shrink."""
_SMALLEST_WINDOW = 16
_ENOUGH_HEADS = 2
"""Batches of heads that a claim chooses from: another worker may hold the first."""
_AGAIN = "publication.listener_id = ANY(%s) AND publication.attempts > 0"

_LOOKED = """
looked AS MATERIALIZED (
    SELECT id, event_id, listener_id, correlation_id, due_at FROM shared.publication
    WHERE {which} AND due_at BETWEEN %s AND now() ORDER BY due_at LIMIT %s
)"""
# Asked of rows that were looked at, never of the table: there the planner may ask it for each pair.
_HEAD = """
    (SELECT {what} FROM shared.publication AS head
     WHERE head.listener_id = looked.listener_id AND head.correlation_id = looked.correlation_id
     ORDER BY head.event_id LIMIT 1)"""
_CLAIM = f"""
WITH {_LOOKED}, head AS MATERIALIZED (
    SELECT id FROM looked WHERE event_id = {_HEAD.format(what="head.event_id")} LIMIT %s
), due AS (
    SELECT id FROM shared.publication
    WHERE id = ANY(ARRAY(SELECT id FROM head)) AND {{which}} AND due_at <= now()
    LIMIT %s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE shared.publication
    SET attempts = attempts + 1, due_at = now() + make_interval(secs => %s)
    FROM due
    WHERE publication.id = due.id
    RETURNING publication.id, publication.attempts, publication.listener_id, publication.event_id
)
SELECT seen.rows, seen.heads, seen.oldest_at, claimed.id, claimed.attempts, claimed.listener_id,
       event.event_type, event.version, event.event_id, event.correlation_id, event.subject_id,
       event.merchant_id, event.occurred_at, event.payload,
       extract(epoch FROM clock_timestamp() - event.published_at), {_outstanding.NOT_DURABLE}
FROM (SELECT count(*) AS rows, (SELECT count(*) FROM head) AS heads, min(due_at) AS oldest_at
      FROM looked) AS seen
LEFT JOIN (claimed JOIN shared.event ON event.sequence = claimed.event_id) ON true
ORDER BY event.sequence
"""
# Followers of a head that waits; of any head, for a moment, when there was no head to claim.
_PUT_OFF = f"""
WITH {_LOOKED}, pair AS MATERIALIZED (
    SELECT id, {_HEAD.format(what="head.id")} AS head_id FROM looked
), follower AS (
    SELECT publication.id,
           CASE WHEN head.parked_at IS NOT NULL THEN now() + interval '1 minute'
                ELSE GREATEST(now() + interval '0.2 seconds',
                              CASE WHEN head.failures > 0 THEN head.due_at END) END AS due_at
    FROM pair
    JOIN shared.publication AS head ON head.id = pair.head_id
    JOIN shared.publication ON publication.id = pair.id
    WHERE {{which}} AND publication.due_at <= now() AND head.event_id < publication.event_id
      AND (head.parked_at IS NOT NULL OR head.failures > 0 OR %s)
    FOR UPDATE OF publication SKIP LOCKED
)
UPDATE shared.publication SET due_at = follower.due_at
FROM follower WHERE publication.id = follower.id
RETURNING {_outstanding.NOT_DURABLE}
"""
_REMOVE = """
WITH ours AS (
    DELETE FROM shared.publication USING unnest(%s, %s::integer[]) AS claim (id, attempts)
    WHERE publication.id = claim.id AND publication.attempts = claim.attempts
    RETURNING publication.id, listener_id, correlation_id, event_id
), followers AS (
    UPDATE shared.publication SET due_at = LEAST(due_at, now())
    WHERE attempts = 0 AND id IN (
        SELECT (SELECT next.id FROM shared.publication AS next
                WHERE next.listener_id = ours.listener_id
                  AND next.correlation_id = ours.correlation_id
                  AND next.event_id > ours.event_id
                ORDER BY next.event_id LIMIT 1) FROM ours)
)
SELECT id FROM ours
"""


@dataclass(frozen=True)
class Queue:
    """Publications that are claimed alike, and where this process saw the due ones begin."""

    which: str
    parameter: str | list[str]
    limit: int
    shore: Shore
    lease_seconds: int = LEASE_SECONDS

    # Factories

    @classmethod
    def fresh(cls, listener_id: str, lease_seconds: int = LEASE_SECONDS) -> Self:
        """What a listener was never given: claimed in batches."""
        which = "publication.listener_id = %s AND publication.attempts = 0"
        return cls(which, listener_id, BATCH_SIZE, Shore.of(listener_id), lease_seconds)

    @classmethod
    def again(cls) -> Self:
        """What was claimed before, of any listener that is run here: claimed alone."""
        ids = [entry.id for entry in listeners.values() if not entry.outward]
        return cls(_AGAIN, ids, 1, Shore.of("again"))

    @classmethod
    def again_of(cls, listener_id: str, lease_seconds: int) -> Self:
        """What was claimed before, of one listener: claimed alone."""
        return cls(_AGAIN, [listener_id], 1, Shore.of(f"again {listener_id}"), lease_seconds)

    # Mutators

    def claim(self) -> tuple[list[Claim[tuple[Any, ...]]], int]:
        """
        Claim heads for a lease; returns them, and how many followers were put off meanwhile.

        Items are (listener id, event type, version, event id, correlation id, subject id, merchant
        id, occurred at, payload, age in seconds), oldest event first.
        """
        enough = max(_ENOUGH_HEADS * self.limit, _SMALLEST_WINDOW)
        rows = self._execute(_CLAIM, enough, self.parameter, self.limit, self.lease_seconds)
        seen, heads, oldest_at = rows[0][:3]
        self.shore.saw(oldest_at)
        claims = [Claim(row[3], row[4], row[5:]) for row in rows if row[3] is not None]
        if len(claims) < self.limit < seen:
            return claims, len(self._execute(_PUT_OFF, self.parameter, heads == 0))
        return claims, 0

    def _execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        window = max(_WINDOW * self.limit, _SMALLEST_WINDOW)
        looked = (self.parameter, self.shore.since(), window)
        with connection.cursor() as cursor:
            cursor.execute(statement.format(which=self.which), [*looked, *parameters])
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def remove(claims: Sequence[Claim[Item]]) -> set[object]:
    """
    Delete the claimed publications that are still ours, and make their followers due.

    The followers stay locked until the transaction ends, so that nobody puts them off meanwhile.
    Returns the ids of the deleted ones.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _REMOVE, [[claim.row_id for claim in claims], [claim.attempts for claim in claims]]
        )
        return {row_id for (row_id,) in cursor.fetchall()}
