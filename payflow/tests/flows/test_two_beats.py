"""Two beats have the effect of one, none has it too, and a killed job is begun again."""

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from payflow.tests import processes
from payflow.tests.flows.test_kill import counted, query
from payflow.tests.processes import Process, database_urls, wait_until
from shared import clock
from shared.event_bus import schedule
from shared.event_bus.schedule import Job, daily, run_job

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

EVERY_SECOND = {"PAYFLOW_EXPIRE_EVERY_SECONDS": "1"}
JOB = "payments.expire_holds"

# A process that begins the job and never comes to its end.
BEGIN_AND_HANG = """
import sys, threading, django
django.setup()
from shared import clock
from shared.event_bus.schedule import Job, daily, jobs, run_job
def hang(now):
    print("begun", flush=True)
    threading.Event().wait()
jobs["test.job"] = Job("test.job", daily(at_hour=0), hang)
run_job("test.job", clock.now())
"""


class TestTwoBeats:
    def test_have_the_effect_of_one(self, tmp_path: Path) -> None:
        with (
            processes.worker(tmp_path, **EVERY_SECOND) as worker,
            processes.beat(tmp_path, name="beat-1", **EVERY_SECOND) as beat_1,
            processes.beat(tmp_path, name="beat-2", **EVERY_SECOND) as beat_2,
        ):
            worker.start()
            beat_1.start()
            beat_2.start()
            for beat in (beat_1, beat_2):
                wait_until(lambda b=beat: ticks(b) >= 4, beat.output)  # type: ignore[misc]

        runs = [line for line in worker.output().splitlines() if "job done" in line and JOB in line]
        assert len(runs) == done() == counted("shared.scheduled_run", f"job = '{JOB}'")
        assert 0 < len(runs) < ticks(beat_1) + ticks(beat_2)

    def test_are_not_needed(self, tmp_path: Path) -> None:
        with processes.worker(tmp_path, PAYFLOW_CELERY_PATIENCE_SECONDS="4") as worker:
            worker.start()
            wait_until(lambda: done() >= 1, worker.output)


class TestAKilledJob:
    def test_is_begun_again_at_the_next_tick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ran: list[object] = []
        job = Job("test.job", daily(at_hour=0), lambda now: ran.append(now))
        monkeypatch.setitem(schedule.jobs, "test.job", job)
        now = clock.now()
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN_AND_HANG],
            cwd=processes.ROOT,
            env=dict(os.environ) | database_urls(),
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            # While its process lives nobody else begins it, not even for the next slot.
            assert not run_job("test.job", now)
            assert not run_job("test.job", now + timedelta(days=1))
        finally:
            process.kill()
            process.communicate()

        wait_until(lock_is_free)
        assert run_job("test.job", now)
        assert not run_job("test.job", now)
        assert len(ran) == 1
        assert not naive_run_job("test.job", now), "the twin has lost the slot for good"


def naive_run_job(job_id: str, now: datetime) -> bool:
    """As it was: to begin is to have done."""
    slot = schedule.jobs[job_id].schedule.slot(now)
    return bool(
        query(
            "INSERT INTO shared.scheduled_run (job, scheduled_at)"
            f" VALUES ('{job_id}', '{slot.isoformat()}') ON CONFLICT DO NOTHING RETURNING id"
        )
    )


def ticks(beat: Process) -> int:
    return beat.output().count(f"Sending due task {JOB}")


def lock_is_free() -> bool:
    time.sleep(0.05)
    return counted("pg_locks", "locktype = 'advisory' AND classid = 7001") == 0


def done() -> int:
    return counted("shared.scheduled_run", f"job = '{JOB}' AND finished_at IS NOT NULL")
