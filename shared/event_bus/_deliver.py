"""Bringing publications to their listeners, a batch at a time."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

from shared import clock
from shared.correlation import working_on
from shared.event_bus import _outstanding
from shared.event_bus._outstanding import Claim
from shared.event_bus._registry import Listener, listeners
from shared.events.base import DomainEvent
from shared.events.catalogue import UnknownEventType, contract
from shared.models import Publication

BATCH_SIZE = 100
LEASE_SECONDS = 2
_UNKNOWN_AFTER_SECONDS = 60

# Heads only: the oldest outstanding publication of a (listener, story). The sub-select is an index
# probe per row under any statistics, which an anti-join is not.
_CLAIM = f"""
WITH due AS (
    SELECT publication.id
    FROM shared.publication
    WHERE {{which}} AND publication.due_at <= now()
      AND publication.event_id = (
          SELECT head.event_id FROM shared.publication AS head
          WHERE head.listener_id = publication.listener_id
            AND head.correlation_id = publication.correlation_id
          ORDER BY head.event_id LIMIT 1)
    ORDER BY publication.due_at
    LIMIT %s
    FOR UPDATE OF publication SKIP LOCKED
), claimed AS (
    UPDATE shared.publication
    SET attempts = attempts + 1, due_at = now() + interval '{LEASE_SECONDS} seconds'
    FROM due
    WHERE publication.id = due.id
    RETURNING publication.id, publication.attempts, publication.listener_id, publication.event_id
)
SELECT claimed.id, claimed.attempts, claimed.listener_id,
       event.event_type, event.version, event.event_id, event.correlation_id, event.subject_id,
       event.merchant_id, event.occurred_at, event.payload, {_outstanding.NOT_DURABLE}
FROM claimed
JOIN shared.event ON event.sequence = claimed.event_id
ORDER BY event.sequence
"""
_CLAIM_FRESH = _CLAIM.format(which="publication.listener_id = %s AND publication.attempts = 0")
_CLAIM_AGAIN = _CLAIM.format(which="publication.listener_id = ANY(%s) AND publication.attempts > 0")


def deliver(entry: Listener) -> int:
    """Bring one batch of fresh heads to a listener; returns how many were claimed."""
    claims = _claim(_CLAIM_FRESH, [entry.id, BATCH_SIZE])
    if claims:
        _run(entry, claims)
    return len(claims)


def deliver_again() -> int:
    """
    Bring one publication that was claimed before to its listener, alone.

    Whatever went wrong with it, a failure or a dead worker, must not take others along.
    """
    claims = _claim(_CLAIM_AGAIN, [list(listeners), 1])
    for claim in claims:
        _run(listeners[claim.item["listener_id"]], [claim])
    return len(claims)


def park_the_undeliverable() -> None:
    """
    Park what nobody will take: publications of unknown listeners, and endless ones.

    Unknown ones only after a minute, so that an old process beside a new one during a deployment
    does not park what the new one is about to do.
    """
    _outstanding.park_endless(Publication)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM shared.publication WHERE due_at <= now() - make_interval(secs => %s)"
            " AND listener_id <> ALL(%s)",
            [_UNKNOWN_AFTER_SECONDS, list(listeners)],
        )
        unknown = [row_id for (row_id,) in cursor.fetchall()]
    if unknown:
        _outstanding.park(Publication, unknown, "no listener of this id is registered")


def _claim(statement: str, parameters: list[Any]) -> list[Claim[dict[str, Any]]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [Claim(row[0], row[1], _facts(row)) for row in cursor.fetchall()]


def _facts(row: Sequence[Any]) -> dict[str, Any]:
    return {
        "listener_id": row[2],
        "event_type": row[3],
        "version": row[4],
        "base": {
            "event_id": str(row[5]),
            "correlation_id": str(row[6]),
            "subject_id": str(row[7]),
            "merchant_id": str(row[8]) if row[8] else None,
            "occurred_at": clock.iso(row[9]),
        },
        "payload": row[10],
    }


def _run(entry: Listener, claims: Sequence[Claim[dict[str, Any]]]) -> None:
    known = [
        Claim(claim.row_id, claim.attempts, event)
        for claim in claims
        if (event := _restored_or_parked(claim)) is not None
    ]
    if known:
        _outstanding.settle(
            known,
            finish=lambda batch: _finish(entry, batch),
            fail=lambda claim, error: _outstanding.record_failure(Publication, claim, error),
        )


def _finish(entry: Listener, claims: Sequence[Claim[DomainEvent]]) -> None:
    ours = _outstanding.remove(Publication, claims)
    events = [claim.item for claim in claims if claim.row_id in ours]
    if events:
        with working_on(events[0].correlation_id if len(events) == 1 else ""):
            entry.function(events)


def _restored_or_parked(claim: Claim[dict[str, Any]]) -> DomainEvent | None:
    facts = claim.item
    try:
        event = contract(facts["event_type"], facts["version"])
        payload = facts["payload"]
        stored = json.loads(payload) if isinstance(payload, str | bytes) else payload
        return event.restored(stored, **facts["base"])
    except UnknownEventType as error:
        # An old process beside a new one must not park what the new one knows: it is claimed again
        # every two seconds, and parked when nobody has known it for a minute.
        if claim.attempts >= _outstanding.CLAIMS_UNTIL_PARKED:
            _outstanding.park(Publication, [claim.row_id], f"UnknownEventType: {error}")
        return None
    except (TypeError, ValueError) as error:
        _outstanding.park(Publication, [claim.row_id], f"{type(error).__name__}: {error}")
        return None
