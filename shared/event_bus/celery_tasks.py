"""
The few Celery tasks of the product. Their messages only say "wake up, look at your rows".

A message lost, repeated, reordered or late changes nothing: what is due stands in rows, a sweep on
the beat's schedule finds what no message announced, and every worker looks for itself as well
(`look_around`), so that neither a broker nor a beat has to be there.
"""

import threading
import time

import structlog
from celery import shared_task
from django.db import connection

from shared import clock
from shared.event_bus import (
    _doorbell,
    _outstanding,
    _perform,
    retention,  # noqa: F401 - registers its job
    schedule,
)
from shared.event_bus._registry import CELERY, intents

log = structlog.get_logger(__name__)

stopping = threading.Event()
"""Set when this worker is to end: whoever runs rows stops after the one under way."""

_BATCH = 20
_TURN_SECONDS = 2
"""A long backlog is worked on in turns, so that it delays neither other rows nor the clock."""


@shared_task(name="shared.run_intents", ignore_result=True)  # type: ignore[untyped-decorator]
def run_intents(intent_id: str) -> None:
    """Run the due rows of one intent for a turn; rings for another one when there are more."""
    if _run(intent_id, for_seconds=_TURN_SECONDS):
        _doorbell.ring(frozenset({intent_id}))


@shared_task(name="shared.sweep", ignore_result=True)  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Give every intent that Celery runs a turn, and park what can never end."""
    for intent_id in _ours():
        _outstanding.park_endless(intents[intent_id].rows)
        run_intents(intent_id)


@shared_task(name="shared.run_job", ignore_result=True)  # type: ignore[untyped-decorator]
def run_scheduled_job(job_id: str) -> None:
    """Run a job of the clock unless its slot is taken."""
    schedule.run_job(job_id, clock.now())


@shared_task(name="shared.ping", ignore_result=True)  # type: ignore[untyped-decorator]
def ping() -> None:
    """Nothing: that it was received is what the watchdog wants to know."""


def look_around() -> None:
    """Do what is due of rows and of the clock, without having been told; raises nothing."""
    work = [(name, _run_all) for name in _ours()]
    for name, run in [*work, *((job_id, run_scheduled_job) for job_id in schedule.jobs)]:
        try:
            connection.close_if_unusable_or_obsolete()
            run(name)
        except Exception:
            connection.close()
            log.exception("looking around failed, going on", what=name)


def _run_all(intent_id: str) -> None:
    _outstanding.park_endless(intents[intent_id].rows)
    _run(intent_id, for_seconds=float("inf"))


def _run(intent_id: str, *, for_seconds: float) -> bool:
    # Whether there may be more. A first batch that is full calls a colleague: where there are
    # twenty rows, there may be thousands.
    deadline = time.monotonic() + for_seconds
    claimed = _perform.perform(intents[intent_id], _BATCH)
    if claimed == _BATCH:
        _doorbell.ring(frozenset({intent_id}))
    while claimed and time.monotonic() < deadline and not stopping.is_set():
        claimed = _perform.perform(intents[intent_id], _BATCH)
    return claimed > 0


def _ours() -> list[str]:
    return [intent.id for intent in intents.values() if intent.runs_in is CELERY]
