"""Jobs for the clock: registered by the modules, ticked by Celery beat, run once per slot."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from django.db import connection

log = structlog.get_logger(__name__)

JobFunction = TypeVar("JobFunction", bound=Callable[..., None])


@dataclass(frozen=True)
class Schedule:
    """A fixed rhythm: every `period`, shifted by `offset` from midnight UTC."""

    period: timedelta
    offset: timedelta = timedelta()

    def slot(self, now: datetime) -> datetime:
        """The latest instant of the rhythm that is not after `now`."""
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
        start = midnight + self.offset
        if start > now:
            start -= timedelta(days=1)
        return start + (now - start) // self.period * self.period


@dataclass(frozen=True)
class Job:
    """A registered job: its id, its rhythm and its function, which takes the slot's time."""

    id: str
    schedule: Schedule
    function: Callable[..., None]


jobs: dict[str, Job] = {}


def daily(*, at_hour: int) -> Schedule:
    """Once a day at this hour, UTC."""
    return Schedule(timedelta(days=1), timedelta(hours=at_hour))


def every(*, seconds: int) -> Schedule:
    """Every so many seconds; a divisor of a day, so that every process has the same slots."""
    if 24 * 3600 % seconds:
        raise ValueError("The period must divide a day.")
    return Schedule(timedelta(seconds=seconds))


def scheduled(job_id: str, schedule: Schedule) -> Callable[[JobFunction], JobFunction]:
    """
    Register a job; its function takes `now`.

    It runs at most once per slot however many schedulers tick, because a slot is taken by
    inserting a unique row. A job that raises gives its slot back to the next tick.
    """

    def register(function: JobFunction) -> JobFunction:
        jobs[job_id] = Job(job_id, schedule, function)
        return function

    return register


def run_job(job_id: str, now: datetime) -> bool:
    """Run a job unless its current slot is taken; returns whether it ran."""
    job = jobs[job_id]
    slot = job.schedule.slot(now)
    if not _take(job_id, slot):
        return False
    try:
        job.function(now=now)
    except Exception:
        _give_back(job_id, slot)
        raise
    log.info("job done", job=job_id, slot=slot.isoformat())
    return True


def _take(job_id: str, slot: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shared.scheduled_run (job, scheduled_at) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING RETURNING id",
            [job_id, slot],
        )
        return cursor.fetchone() is not None


def _give_back(job_id: str, slot: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM shared.scheduled_run WHERE job = %s AND scheduled_at = %s", [job_id, slot]
        )
