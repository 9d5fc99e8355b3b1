"""
The two Celery tasks of the product. Their messages only say "wake up, look at your rows".

A message lost, repeated, reordered or late changes nothing: what is due stands in rows, and a
sweep on the beat schedule finds what no message announced.
"""

from celery import shared_task

from shared import clock
from shared.event_bus import _outstanding, _perform, retention  # noqa: F401 - registers its job
from shared.event_bus._registry import CELERY, intents
from shared.event_bus.schedule import run_job

_BATCH = 20


@shared_task(name="shared.run_intents", ignore_result=True)  # type: ignore[untyped-decorator]
def run_intents(intent_id: str) -> None:
    """Run the due rows of one intent until none is left."""
    while _perform.perform(intents[intent_id], _BATCH):
        pass


@shared_task(name="shared.sweep", ignore_result=True)  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Run whatever is due of every intent that Celery runs."""
    for intent in intents.values():
        if intent.runs_in is CELERY:
            _outstanding.park_endless(intent.rows)
            run_intents(intent.id)


@shared_task(name="shared.run_job", ignore_result=True)  # type: ignore[untyped-decorator]
def run_scheduled_job(job_id: str) -> None:
    """Run a job of the clock unless its slot is taken."""
    run_job(job_id, clock.now())
