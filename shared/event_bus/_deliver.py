"""Bringing publications to their listeners, a batch at a time."""

import json
import time
from collections.abc import Sequence
from typing import Any

from django.db import connection

from shared import clock
from shared.correlation import working_on
from shared.event_bus import _metrics, _outstanding
from shared.event_bus._failpoints import Failpoint, hit
from shared.event_bus._outstanding import Claim
from shared.event_bus._queue import Queue, remove
from shared.event_bus._registry import Listener, listeners
from shared.events.base import DomainEvent
from shared.events.catalogue import UnknownEventType, contract
from shared.models import Publication

_UNKNOWN_AFTER_SECONDS = 60

Facts = tuple[Any, ...]
"""What a claimed publication says of its event; see `Queue.claim`."""


def deliver(entry: Listener) -> int:
    """Bring one batch of fresh heads to a listener; returns how many were claimed or put off."""
    claims, put_off = Queue.fresh(entry.id).claim()
    if claims:
        _run(entry, claims)
    return len(claims) + put_off


def deliver_again() -> int:
    """
    Bring one publication that was claimed before to its listener, alone; returns as `deliver`.

    Whatever went wrong with it, a failure or a dead worker, must not take others along.
    """
    claims, put_off = Queue.again().claim()
    for claim in claims:
        _run(listeners[claim.item[0]], [claim])
    return len(claims) + put_off


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


def _run(entry: Listener, claims: Sequence[Claim[Facts]]) -> None:
    known = [
        Claim(claim.row_id, claim.attempts, event)
        for claim in claims
        if (event := restored_or_parked(claim)) is not None
    ]
    if known:
        hit(Failpoint.DELIVER_CLAIMED)
        started = time.perf_counter()
        ended = _outstanding.settle(
            entry.id,
            known,
            finish=lambda batch: _finish(entry, batch),
            fail=lambda claim, error: _outstanding.record_failure(
                entry.id, Publication, claim, error
            ),
        )
        seconds = time.perf_counter() - started
        if ended:
            ages = [float(claim.item[9]) + seconds for claim in claims]
            _metrics.ran(entry.id, batch=ended, seconds=seconds, ages=ages)
        hit(Failpoint.FINISH_COMMITTED)


def _finish(entry: Listener, claims: Sequence[Claim[DomainEvent]]) -> None:
    ours = remove(claims)
    hit(Failpoint.FINISH_REMOVED)
    events = [claim.item for claim in claims if claim.row_id in ours]
    if events:
        with working_on(events[0].correlation_id if len(events) == 1 else ""):
            entry.function(events)
        hit(Failpoint.FINISH_EFFECT)


def restored_or_parked(claim: Claim[Facts]) -> DomainEvent | None:
    """The event of a claim; none if nobody here can restore it, which may park it."""
    try:
        return _restored(claim.item)
    except UnknownEventType as error:
        # An old process beside a new one must not park what the new one knows: it is claimed again
        # every two seconds, and parked when nobody has known it for a minute.
        if claim.attempts >= _outstanding.CLAIMS_UNTIL_PARKED:
            _outstanding.park(Publication, [claim.row_id], f"UnknownEventType: {error}")
        return None
    except (TypeError, ValueError) as error:
        _outstanding.park(Publication, [claim.row_id], f"{type(error).__name__}: {error}")
        return None


def _restored(facts: Facts) -> DomainEvent:
    event_type, version, event_id, correlation_id, subject_id, merchant_id, at, payload = facts[1:9]
    stored = json.loads(payload) if isinstance(payload, str | bytes) else payload
    return contract(event_type, version).restored(
        stored,
        event_id=str(event_id),
        correlation_id=str(correlation_id),
        subject_id=str(subject_id),
        merchant_id=str(merchant_id) if merchant_id else None,
        occurred_at=clock.iso(at),
    )
