"""
Jobs for the clock: registered by the modules, ticked by whoever is there, done once per slot.

# Note [A job that is under way]

Whoever runs a job holds an advisory lock by a session of its own. PostgreSQL keeps it exactly as
long as that session lives: a job may take hours without being started twice, and one whose process
is killed is started again at the next tick, not after a lease that had to be guessed. The session
is not Django's, which may be closed and opened again in the middle of a job. That the slot is done
is a row. Only when the session is cut while its process lives on can a job run twice at once: jobs
are idempotent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from django.db import connection
from django.db.models.functions import Now

from shared.event_bus import _doorbell
from shared.models import ScheduledRun

log = structlog.get_logger(__name__)

_LOCKS = 7_001
"""The first half of the key of jobs' advisory locks; watchdogs use another one."""
_TAKE = """
INSERT INTO shared.scheduled_run AS run (job, scheduled_at) VALUES (%s, %s)
ON CONFLICT (job, scheduled_at) DO UPDATE SET started_at = now() WHERE run.finished_at IS NULL
RETURNING id
"""

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

    It is done once per slot and never runs twice at once, however many schedulers tick. A job that
    raises, or whose process dies, gives its slot back to the next tick: it must be idempotent.
    """

    def register(function: JobFunction) -> JobFunction:
        jobs[job_id] = Job(job_id, schedule, function)
        return function

    return register


def run_job(job_id: str, now: datetime) -> bool:
    """Run a job unless it is under way or its current slot is done; returns whether it ran."""
    job = jobs[job_id]
    slot = job.schedule.slot(now)
    if _is_done(job_id, slot):
        return False
    with _held(job_id) as is_ours:
        if not is_ours or not _take(job_id, slot):
            return False
        try:
            job.function(now=now)
        except Exception:
            _give_back(job_id, slot)
            raise
        _finish(job_id, slot)
    log.info("job done", job=job_id, slot=slot.isoformat())
    return True


@contextmanager
def _held(job_id: str) -> Iterator[bool]:
    # See Note [A job that is under way].
    with _doorbell.open_line() as line:
        key = [_LOCKS, job_id]
        row = line.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key).fetchone()
        yield row == (True,)


def _is_done(job_id: str, slot: datetime) -> bool:
    done = ScheduledRun.objects.filter(job=job_id, scheduled_at=slot, finished_at__isnull=False)
    return done.exists()


def _take(job_id: str, slot: datetime) -> bool:
    # Under the lock, so a row that is not finished belongs to nobody who lives.
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [job_id, slot])
        return cursor.fetchone() is not None


def _finish(job_id: str, slot: datetime) -> None:
    ScheduledRun.objects.filter(job=job_id, scheduled_at=slot).update(finished_at=Now())


def _give_back(job_id: str, slot: datetime) -> None:
    ScheduledRun.objects.filter(job=job_id, scheduled_at=slot).delete()
