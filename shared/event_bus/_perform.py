"""Performing outside work: claiming intent rows, running them outside transactions, recording."""

import time
from collections.abc import Sequence
from copy import copy
from typing import Any

from shared import db
from shared.correlation import working_on
from shared.event_bus import _metrics, _outstanding
from shared.event_bus._failpoints import Failpoint, hit
from shared.event_bus._outstanding import Claim, Shore
from shared.event_bus._registry import Intent
from shared.event_bus._slots import Merchant, Turn
from shared.models import Outstanding

# Unlike a listener's, this claim waits for the disk: after a crash it tells that the call may have
# been made, so that it is asked about before it is made again.
_CLAIM = """
WITH due AS (
    SELECT id, due_at AS was_due_at FROM {table}
    WHERE due_at BETWEEN %s AND now() {whose} ORDER BY due_at LIMIT %s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {table} AS row
    SET attempts = row.attempts + 1, due_at = now() + make_interval(secs => %s)
    FROM due WHERE row.id = due.id
    RETURNING row.*, was_due_at
)
SELECT claimed.*, look.* FROM (SELECT now() AS looked_at, ({first}) AS first_at) AS look
LEFT JOIN claimed ON true ORDER BY created_at
"""
_FIRST = "SELECT due_at FROM {table} WHERE due_at BETWEEN %s AND now() ORDER BY due_at LIMIT 1"
_OF_ONE = "AND merchant_id = %s"
_OF_OTHERS = "AND merchant_id <> ALL(%s)"

# What was done outside is done; forgetting it over a lock would do it again.
_TRIES_TO_RECORD = 5


class OutsideWorkInsideTransaction(Exception):
    """
    Outside work was about to run inside a transaction.

    A call that hangs would hold locks and a connection, and a crash would forget that it was made.
    """


def claim(entry: Intent, turn: Turn) -> list[Claim[tuple[Outstanding, Any]]]:
    """Claim due rows of an intent, as the turn says, for `entry.lease_seconds`, with their work."""
    rows = _claimed(entry, turn)
    hit(Failpoint.PERFORM_CLAIMED)
    works = entry.prepare(rows) if entry.prepare and rows else rows
    return [Claim(row.pk, row.attempts, (row, work)) for row, work in zip(rows, works, strict=True)]


def merchant_of(entry: Intent, claimed: Claim[tuple[Any, Any]]) -> Merchant:
    """Whose slot a claimed row takes."""
    return claimed.item[0].merchant_id if entry.by_merchant else None


def run(entry: Intent, claimed: Claim[tuple[Outstanding, Any]]) -> Claim[tuple[Any, Any]]:
    """Do the outside work of one row; an exception becomes its outcome."""
    if db.in_transaction():
        raise OutsideWorkInsideTransaction
    row, work = claimed.item
    started = time.perf_counter()
    with working_on(str(row.correlation_id)):
        try:
            outcome = entry.run(work)
            hit(Failpoint.PERFORM_DONE)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the row's failure
            outcome = Raised(error)
    _metrics.called(entry.id, seconds=time.perf_counter() - started)
    return Claim(claimed.row_id, claimed.attempts, (row, outcome))


def record(entry: Intent, finished: Sequence[Claim[tuple[Any, Any]]]) -> None:
    """Record finished rows in one transaction; count those that raised as failures."""
    _metrics.recorded(entry.id, rows=len(finished))
    done = [claim for claim in finished if not isinstance(claim.item[1], Raised)]
    if done:
        _outstanding.settle(
            entry.id,
            done,
            finish=lambda batch: _finish(entry, batch),
            fail=lambda claim, error: _fail(entry, claim, error),
            tries=_TRIES_TO_RECORD,
        )
        hit(Failpoint.RECORD_COMMITTED)
    for claim in finished:
        if isinstance(claim.item[1], Raised):
            _fail(entry, claim, claim.item[1].error)


def perform(entry: Intent, limit: int) -> int:
    """
    Claim, run one after the other, and record; returns how many rows were claimed.

    Rows that were not begun when half the lease is over stay claimed until it ends: the other half
    is for the one under way and for recording.
    """
    deadline = time.monotonic() + entry.lease_seconds / 2
    claims = claim(entry, Turn(limit))
    record(entry, [run(entry, claimed) for claimed in claims if time.monotonic() < deadline])
    return len(claims)


def _claimed(entry: Intent, turn: Turn) -> list[Any]:
    shore = Shore.of(entry.id)
    looked = _look(entry, turn, shore)
    rows = [row for row in looked if row.pk is not None]
    oldest_at = min((row.was_due_at for row in rows), default=None)
    shore.saw(oldest_at if turn.is_everybodys else looked[0].first_at)
    if turn.passed_over and len(rows) < turn.limit:
        # Or the next look would walk once more over all that is due of those who are passed over.
        shore.saw_all(looked[0].looked_at, turn.passed_over)
    elif turn.passed_over:
        shore.saw(oldest_at, turn.passed_over)
    return rows


def _look(entry: Intent, turn: Turn, shore: Shore) -> list[Any]:
    table, (whose, merchants) = entry.rows._meta.db_table, _whose(turn)
    first = "NULL::timestamptz" if turn.is_everybodys else _FIRST.format(table=table)
    parameters = [shore.since(turn.passed_over), *merchants, turn.limit, entry.lease_seconds]
    if not turn.is_everybodys:
        # Where everybody's rows begin is told beside: a full look finds what came late of them all.
        parameters.append(shore.bound())
    statement = _CLAIM.format(table=table, whose=whose, first=first)
    return list(entry.rows._default_manager.raw(statement, parameters))


def _whose(turn: Turn) -> tuple[str, list[Any]]:
    if turn.only:
        return _OF_ONE, [turn.only]
    return (_OF_OTHERS, [list(turn.passed_over)]) if turn.passed_over else ("", [])


class Raised:
    """The outcome of a row whose run raised."""

    def __init__(self, error: Exception) -> None:
        """Keep the error with its traceback."""
        self.error = error


def _finish(entry: Intent, claims: Sequence[Claim[tuple[Any, Any]]]) -> None:
    ours = _outstanding.mark_done(entry.rows, claims)
    hit(Failpoint.RECORD_MARKED)
    # Copies: recording changes rows, and may be rolled back and tried again.
    done = [claim.item for claim in claims if claim.row_id in ours]
    pairs = [(copy(row), outcome) for row, outcome in done]
    if pairs:
        entry.record(pairs)
        hit(Failpoint.RECORD_DONE)


def _fail(entry: Intent, claim: Claim[tuple[Any, Any]], error: Exception) -> None:
    when_parked = entry.when_parked
    with db.transaction():
        _outstanding.record_failure(
            entry.id,
            entry.rows,
            claim,
            error,
            pauses=entry.pauses,
            when_parked=(lambda: when_parked(claim.item[0])) if when_parked else None,
        )
