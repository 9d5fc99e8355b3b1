"""Letting go of machinery rows whose time is over, every night."""

from datetime import datetime, timedelta

import structlog
from django.db import connection

from shared.event_bus.schedule import daily, scheduled

log = structlog.get_logger(__name__)

EVENTS_KEPT = timedelta(days=30)
RUNS_KEPT = timedelta(days=90)
BUCKETS_KEPT = timedelta(days=1)
_BATCH_SIZE = 5_000

# Each statement deletes a batch and is one short transaction of its own.
_PURGES = (
    (
        "shared.event",
        "DELETE FROM shared.event WHERE sequence IN (SELECT sequence FROM shared.event AS old"
        " WHERE published_at < %s AND NOT EXISTS (SELECT 1 FROM shared.publication"
        " WHERE publication.event_id = old.sequence) ORDER BY sequence LIMIT %s)",
        EVENTS_KEPT,
    ),
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
)


@scheduled("shared.purge", daily(at_hour=2))
def purge(*, now: datetime) -> None:
    """
    Delete events after 30 days, idempotency records after their term, and what is older still.

    An event that still has a publication stays, however old. The audit trail is not touched.
    """
    for table, statement, kept in _PURGES:
        purged = 0
        while batch := _purge_batch(statement, now - kept):
            purged += batch
        log.info("purged", table=table, rows=purged)


def _purge_batch(statement: str, before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, [before, _BATCH_SIZE])
        return int(cursor.rowcount)
