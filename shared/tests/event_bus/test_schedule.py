"""Two beats have the effect of one."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from shared.event_bus import daily, every
from shared.event_bus.schedule import Job, jobs, run_job

NIGHT = datetime(2026, 3, 29, 2, 0, tzinfo=UTC)


class TestSlots:
    @pytest.mark.parametrize(
        ("now", "slot"),
        [
            (NIGHT, NIGHT),
            (NIGHT - timedelta(microseconds=1), NIGHT - timedelta(days=1)),
            (NIGHT + timedelta(hours=23), NIGHT),
        ],
    )
    def test_of_a_daily_job_begin_at_its_hour(self, now: datetime, slot: datetime) -> None:
        assert daily(at_hour=2).slot(now) == slot

    def test_of_a_period_are_the_same_for_every_process(self) -> None:
        assert every(seconds=30).slot(NIGHT + timedelta(seconds=59)) == NIGHT + timedelta(
            seconds=30
        )

    def test_refuse_a_period_that_does_not_divide_a_day(self) -> None:
        with pytest.raises(ValueError, match="divide"):
            every(seconds=7)


@pytest.mark.django_db
class TestRunJob:
    @pytest.fixture
    def runs(self) -> Iterator[list[datetime]]:
        runs: list[datetime] = []
        jobs["test.job"] = Job("test.job", daily(at_hour=2), lambda now: runs.append(now))
        yield runs
        del jobs["test.job"]

    def test_runs_once_per_slot(self, runs: list[datetime]) -> None:
        assert run_job("test.job", NIGHT)
        assert not run_job("test.job", NIGHT + timedelta(hours=1))
        assert run_job("test.job", NIGHT + timedelta(days=1))
        assert len(runs) == 2

    def test_runs_once_for_many_schedulers_at_once(self, runs: list[datetime]) -> None:
        barrier = threading.Barrier(8)

        def tick() -> None:
            barrier.wait()
            run_job("test.job", NIGHT)
            connection.close()

        threads = [threading.Thread(target=tick) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(runs) == 1

    def test_gives_the_slot_back_when_the_job_raises(self, runs: list[datetime]) -> None:
        def fail(now: datetime) -> None:
            raise ZeroDivisionError

        jobs["test.job"] = Job("test.job", daily(at_hour=2), fail)
        with pytest.raises(ZeroDivisionError):
            run_job("test.job", NIGHT)

        jobs["test.job"] = Job("test.job", daily(at_hour=2), lambda now: runs.append(now))
        assert run_job("test.job", NIGHT)
