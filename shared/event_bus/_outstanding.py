"""
The one retry mechanism: claim with a lease, finish behind the fence, fail with backoff, park.

It serves publications and every module's intents, because both are `Outstanding` rows.

# Note [Count and fence]

A claim is one small transaction: attempts + 1, and `due_at` moved ahead by the lease. Because it
commits before the work starts, work that kills its process is counted. Finishing begins with
taking the claimed rows away (deleting publications, clearing `due_at` of intents) where `attempts`
is still what the claim wrote; rows that another worker has claimed since are dropped. The row
locks are held to the end, so nobody claims a row whose finish is under way.

A lost claim of a publication costs nothing but time, so that claim does not wait for the disk
(`synchronous_commit` off for that transaction alone). What it must survive is a dead worker, and
that it does; the finish always waits for the disk.
"""

import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

import structlog
from django.db import connection, transaction

from shared import db
from shared.event_bus import _metrics
from shared.event_bus._failpoints import Failpoint, hit
from shared.event_bus._registry import QUICK_TRIES, intent_id_of
from shared.models import Outstanding, Publication

log = structlog.get_logger(__name__)

Item = TypeVar("Item")

FAILURES_UNTIL_PARKED = len(QUICK_TRIES) + 1
CLAIMS_UNTIL_PARKED = 25
NOBODY: frozenset[UUID] = frozenset()
_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
NOT_DURABLE = "set_config('synchronous_commit', 'off', true)"


@dataclass(frozen=True)
class Claim(Generic[Item]):
    """A row this worker holds until its lease ends, and what it stands for."""

    row_id: Any
    attempts: int
    item: Item


class Shore:
    """
    Where the due rows of a queue begin, as far as this process has seen.

    # Note [Rows that are gone but not yet swept]

    A claim reads an index by `due_at` from its beginning. While one long transaction anywhere keeps
    VACUUM from sweeping, entries of finished rows pile up exactly there, and every claim would walk
    over all of them. So it begins where the last one found its first row, and a little before.
    What is committed late with an earlier time is found by a full look, which is taken every second
    or, when it has become dear, for a twentieth of the time.

    Looks without some merchants begin behind the rows of those. Who is left out changes with every
    call that begins, so all these looks share one rhythm, and begin where any look did that left
    out the same merchants or fewer. What they know is forgotten at each full look.
    """

    _MARGIN = timedelta(seconds=1)
    _SHARE = 20

    _REMEMBERED = 100
    _by_queue: ClassVar[dict[str, Self]] = {}

    @classmethod
    def of(cls, queue: str) -> Self:
        """The shore of a queue by its name."""
        return cls._by_queue.setdefault(queue, cls())

    @classmethod
    def look_everywhere(cls) -> None:
        """Have the next look of every queue be a full one."""
        cls._by_queue.clear()

    def __init__(self) -> None:
        """Begin with a full look."""
        self._bounds = {NOBODY: _THE_BEGINNING}
        self._looked_at, self._look_at, self._is_full = 0.0, 0.0, False

    def since(self, without: frozenset[UUID] = NOBODY) -> datetime:
        """The `due_at` to begin a look with; tell what was found with `saw`."""
        self._looked_at = time.monotonic()
        self._is_full = self._looked_at >= self._look_at
        if self._is_full or len(self._bounds) > self._REMEMBERED:
            self._bounds = {NOBODY: self._bounds[NOBODY]}
        return self.bound(without)

    def bound(self, without: frozenset[UUID] = NOBODY) -> datetime:
        """Where other rows begin for the look that `since` began."""
        if self._is_full:
            return _THE_BEGINNING
        return max(at for others, at in tuple(self._bounds.items()) if others <= without)

    def saw(self, oldest_at: datetime | None, without: frozenset[UUID] = NOBODY) -> None:
        """Note the first due row that the look found, if any."""
        now = time.monotonic()
        if self._is_full:
            self._look_at = now + max(1.0, self._SHARE * (now - self._looked_at))
        if oldest_at is not None:
            self._bounds[without] = oldest_at - self._MARGIN

    def saw_all(self, looked_at: datetime, without: frozenset[UUID]) -> None:
        """Note that a look at that instant, by PostgreSQL's clock, has found all there was."""
        self._bounds[without] = looked_at - self._MARGIN


def settle(
    work_id: str,
    claims: Sequence[Claim[Item]],
    *,
    finish: Callable[[Sequence[Claim[Item]]], None],
    fail: Callable[[Claim[Item], Exception], None],
    tries: int = 1,
) -> int:
    """
    Finish a batch in one transaction; if it raises, each claim in its own. Returns how many ended.

    `finish` takes the claims behind the fence and does the work. Only an exception of a claim on
    its own is a failure, handed to `fail`. Trouble of the database is nobody's failure: it is tried
    again up to `tries` times, then those rows are due again when their lease ends.
    """
    try:
        with transaction.atomic(durable=True):
            finish(claims)
        return len(claims)
    except Exception as error:  # noqa: BLE001 - whatever a listener raises is its failure
        connection.close_if_unusable_or_obsolete()
        if db.is_transient(error) and tries > 1:
            time.sleep(random.uniform(0, 0.2))  # noqa: S311 - jitter
            return settle(work_id, claims, finish=finish, fail=fail, tries=tries - 1)
        if db.is_transient(error):
            _metrics.put_off(work_id, len(claims))
            log.warning("left until due again", rows=len(claims), reason=str(error).strip())
        elif len(claims) == 1:
            fail(claims[0], error)
        else:
            one_by_one = ([claim] for claim in claims)
            return sum(
                settle(work_id, one, finish=finish, fail=fail, tries=tries) for one in one_by_one
            )
        return 0


def mark_done(rows: type[Outstanding], claims: Sequence[Claim[Item]]) -> set[object]:
    """Clear `due_at` of the claimed rows that are still ours; returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {rows._meta.db_table} AS row"
            " SET due_at = NULL, ended = row.attempts, last_error = ''"
            " FROM unnest(%s, %s::integer[]) AS claim (id, attempts)"
            " WHERE row.id = claim.id AND row.attempts = claim.attempts"
            # Recorded once: after a COMMIT whose answer was lost, the second try finds it ended.
            " AND row.ended < row.attempts RETURNING row.id",
            [[claim.row_id for claim in claims], [claim.attempts for claim in claims]],
        )
        return {row_id for (row_id,) in cursor.fetchall()}


def record_failure(
    work_id: str,
    rows: type[Outstanding],
    claim: Claim[Item],
    error: Exception,
    *,
    pauses: Sequence[int] = QUICK_TRIES,
    when_parked: Callable[[], None] | None = None,
) -> None:
    """Count a failure and make the row due after its pause, with jitter, or park it."""
    table = rows._meta.db_table
    report = _storable("".join(traceback.format_exception(error))[-8000:])
    with db.transaction(), connection.cursor() as cursor:
        # A claim that failed has ended: only those of which nothing is known are endless. Beyond
        # the last pause the array has no element, so nothing is due.
        cursor.execute(
            f"UPDATE {table} SET failures = failures + 1, ended = attempts, last_error = %s,"
            " due_at = clock_timestamp()"
            "  + make_interval(secs => (%s::float8[])[failures + 1] * %s),"
            " parked_at = CASE WHEN failures >= %s THEN clock_timestamp() END"
            " WHERE id = %s AND attempts = %s AND ended < attempts"
            " RETURNING failures, parked_at IS NOT NULL",
            [
                report,
                list(pauses),
                random.uniform(0.75, 1.25),  # noqa: S311 - jitter
                len(pauses),
                claim.row_id,
                claim.attempts,
            ],
        )
        failures, parked = cursor.fetchone() or (0, False)
        if parked and when_parked:
            when_parked()
        hit(Failpoint.FAILURE_COUNTED)
    _metrics.failed(work_id)
    if parked:
        _metrics.parked(work_id)
    log.warning("failed", work=work_id, row=str(claim.row_id), failures=failures, parked=parked)


def _storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL and halves of surrogate pairs."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def park(rows: type[Outstanding], row_ids: Sequence[object], reason: str) -> None:
    """Put rows aside for an operator, with the reason."""
    _park(rows, reason, "id = ANY(%s)", list(row_ids))


def park_endless(rows: type[Outstanding]) -> None:
    """Park rows that were claimed again and again and never ended, such as one that kills us."""
    reason = f"claimed {CLAIMS_UNTIL_PARKED} times without an end"
    which = "attempts > 0 AND attempts - ended >= %s AND due_at <= now()"
    _park(rows, reason, which, CLAIMS_UNTIL_PARKED)


def _park(rows: type[Outstanding], reason: str, which: str, parameter: Any) -> None:
    work_id = "listener_id" if issubclass(rows, Publication) else "''"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {rows._meta.db_table} SET due_at = NULL, parked_at = clock_timestamp(),"
            f" last_error = %s WHERE {which} RETURNING {work_id}",
            [_storable(reason), parameter],
        )
        for (listener_id,) in cursor.fetchall():
            _metrics.parked(listener_id or intent_id_of(rows))
