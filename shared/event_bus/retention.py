"""Letting go of machinery rows whose time is over, every night."""

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from shared import db
from shared.event_bus.replay import EVENTS_ARE_CHANGING
from shared.event_bus.schedule import daily, scheduled
from shared.event_bus.standing import LISTENERS_WITH_WORK

log = structlog.get_logger(__name__)

RUNS_KEPT = timedelta(days=90)
BUCKETS_KEPT = timedelta(days=1)
_BATCH_SIZE = 5_000

# Each statement deletes a batch and is one short transaction of its own.
_PURGES = (
    (
        "shared.idempotency_record",
        "DELETE FROM shared.idempotency_record WHERE id IN (SELECT id"
        " FROM shared.idempotency_record WHERE expires_at < %s ORDER BY expires_at LIMIT %s)",
        timedelta(),
    ),
    (
        "shared.scheduled_run",
        "DELETE FROM shared.scheduled_run WHERE id IN (SELECT id FROM shared.scheduled_run"
        " WHERE scheduled_at < %s LIMIT %s)",
        RUNS_KEPT,
    ),
    (
        "shared.rate_bucket",
        "DELETE FROM shared.rate_bucket WHERE bucket IN (SELECT bucket FROM shared.rate_bucket"
        " WHERE refilled_at < %s LIMIT %s)",
        BUCKETS_KEPT,
    ),
    (
        "public.django_session",
        "DELETE FROM public.django_session WHERE session_key IN (SELECT session_key"
        " FROM public.django_session WHERE expire_date < %s LIMIT %s)",
        timedelta(),
    ),
)

# A batch is a window of the oldest events, whether they may go or not: thousands that somebody
# still waits for are looked at once, not again in every batch. The sub-select is an index probe per
# event under any statistics; NOT EXISTS would read all publications, once per batch.
_PURGE_EVENTS = f"""
WITH RECURSIVE {LISTENERS_WITH_WORK}, oldest AS (
    SELECT sequence, correlation_id, published_at FROM shared.event
    WHERE published_at < %(before)s AND published_at >= %(at)s
      AND (published_at, sequence) > (%(at)s, %(sequence)s)
    ORDER BY published_at, sequence LIMIT %(limit)s
), purged AS (
    DELETE FROM shared.event USING oldest
    WHERE event.sequence = oldest.sequence
      AND (SELECT publication.id FROM shared.publication
           WHERE publication.listener_id = ANY(ARRAY(SELECT id FROM waiting_listener))
             AND publication.correlation_id = oldest.correlation_id
             AND publication.event_id = oldest.sequence
           LIMIT 1) IS NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM purged), published_at, sequence
FROM oldest ORDER BY published_at DESC, sequence DESC LIMIT 1
"""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@scheduled("shared.purge", daily(at_hour=2))
def purge(*, now: datetime) -> None:
    """
    Delete events after 30 days, idempotency records and sessions after their term, and so on.

    An event that still has a publication stays, however old. The audit trail is not touched.
    """
    events = purge_events(before=now - timedelta(days=settings.EVENTS_KEPT_DAYS))
    log.info("purged", table="shared.event", rows=events)
    for table, statement, kept in _PURGES:
        purged = 0
        while batch := _purge_batch(statement, now - kept):
            purged += batch
        log.info("purged", table=table, rows=purged)


def purge_events(*, before: datetime) -> int:
    """Delete the events that were published before, and for which nobody waits; how many."""
    purged, at, sequence = 0, _BEGINNING, 0
    while found := _purge_window(before, at, sequence):
        batch, at, sequence = found
        purged += batch
    return purged


def _purge_window(
    before: datetime, at: datetime, sequence: int
) -> tuple[int, datetime, int] | None:
    facts: dict[str, Any] = {"before": before, "at": at, "sequence": sequence, "limit": _BATCH_SIZE}
    with db.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [EVENTS_ARE_CHANGING])
        cursor.execute(_PURGE_EVENTS, facts)
        found: tuple[int, datetime, int] | None = cursor.fetchone()
        return found


def _purge_batch(statement: str, before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, [before, _BATCH_SIZE])
        return int(cursor.rowcount)
