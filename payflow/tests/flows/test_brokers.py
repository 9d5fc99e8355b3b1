"""The same outward work on every broker: their messages carry no truth, so any will do."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from payflow.tests import processes
from payflow.tests.brokers import BROKERS, Bells, port_of, through, url_of
from payflow.tests.flows.test_kill import (
    counted,
    distinct,
    in_transaction,
    mails_by_id,
    outstanding,
    sent,
    terms,
)
from payflow.tests.processes import Process, wait_until
from payflow.tests.proxy import Proxy
from shared.event_bus import DISPATCHER, drain

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

PAYMENTS = 20
INTENT = "notifications.message"
PATIENCE = {"PAYFLOW_CELERY_PATIENCE_SECONDS": "8"}
"""Workers then look around by themselves every 4 seconds."""
NEVER = {"PAYFLOW_CELERY_PATIENCE_SECONDS": "3600"}
"""Workers then depend on what they are told."""


@pytest.fixture
def url(broker: str) -> str:
    return url_of(broker)


@pytest.fixture
def bells(url: str, tmp_path: Path) -> Iterator[Bells]:
    bells = Bells(url, tmp_path)
    yield bells
    bells.remove()


@pytest.mark.parametrize("broker", BROKERS)
class TestBroker:
    def test_wakes_a_worker_for_the_e_mails(self, url: str, bells: Bells, tmp_path: Path) -> None:
        accept(PAYMENTS)
        with processes.worker(tmp_path, broker_url=url, **NEVER) as worker:
            worker.start()
            bells.ring("shared.sweep")
            wait_until(lambda: sent() == PAYMENTS, worker.output)

        assert_told_once_each(tmp_path, PAYMENTS)

    def test_may_lose_every_message(self, url: str, bells: Bells, tmp_path: Path) -> None:
        accept(PAYMENTS)
        bells.ring("shared.run_intents", INTENT, times=3)
        wait_until(lambda: bells.waiting() == 3)
        bells.purge()
        assert bells.waiting() == 0

        with processes.worker(tmp_path, broker_url=url, **PATIENCE) as worker:
            worker.start()
            wait_until(lambda: sent() == PAYMENTS, worker.output)

        assert_told_once_each(tmp_path, PAYMENTS)

    def test_may_repeat_and_reorder_and_delay(self, url: str, bells: Bells, tmp_path: Path) -> None:
        accept(PAYMENTS)
        rings = [("shared.run_intents", INTENT), ("shared.sweep",)] * 5
        rings += [("shared.run_job", "merchants.purge_api_keys")] * 5
        Random(7).shuffle(rings)
        with processes.worker(tmp_path, broker_url=url, **NEVER) as worker:
            worker.start()
            for ring in rings:
                bells.ring(*ring)
            wait_until(lambda: sent() == PAYMENTS, worker.output)
            # Late: there is nothing to do any more when these arrive.
            for ring in rings:
                bells.ring(*ring)
            wait_until(lambda: worker.output().count(" succeeded in ") >= 2 * len(rings))

        assert_told_once_each(tmp_path, PAYMENTS)
        assert worker.output().count("job done") == 1

    def test_may_be_away_flushed_and_back(self, url: str, bells: Bells, tmp_path: Path) -> None:
        with Proxy(port_of(url)) as proxy:
            there = through(url, proxy.port)
            with processes.worker(tmp_path, broker_url=there, **PATIENCE) as worker:
                worker.start()
                before = seconds_from_due_to_done(bells, worker)
                proxy.cut()
                accept(PAYMENTS)
                # Nobody can tell the worker, and it does its work all the same.
                wait_until(lambda: sent() == 1 + PAYMENTS, worker.output)
                bells.purge()
                proxy.mend()
                after = latency_once_it_is_back(bells, worker)
                assert worker.exit_code is None, "a broker that is down deafens nobody"

        done = sent()
        assert after < processes.PATIENCE_SECONDS, f"{before:.2f} s before, {after:.2f} s after"
        assert_told_once_each(tmp_path, done)

    def test_that_no_longer_reaches_a_worker_has_it_replaced(
        self, url: str, bells: Bells, tmp_path: Path
    ) -> None:
        with Proxy(port_of(url)) as proxy:
            there = through(url, proxy.port)
            with processes.worker(tmp_path, broker_url=there, **PATIENCE) as worker:
                worker.start()
                seconds_from_due_to_done(bells, worker)
                proxy.deafen()
                accept(PAYMENTS)
                wait_until(lambda: sent() == 1 + PAYMENTS, worker.output)
                wait_until(lambda: worker.exit_code is not None, worker.output)
                assert worker.exit_code in {1, os.EX_SOFTWARE}
                assert "worker is to be replaced" in worker.output()
                worker.start()  # As a supervisor does with whatever ended.
                seconds_from_due_to_done(bells, worker)

        assert_told_once_each(tmp_path, PAYMENTS + 2)


def accept(count: int) -> None:
    """Decide so many payments; their e-mails are due."""
    for _ in range(count):
        in_transaction(terms(f"key-{counted('payments.payment')}"))
    drain(DISPATCHER)


def seconds_from_due_to_done(bells: Bells, worker: Process) -> float:
    """How long one e-mail takes that somebody rings for."""
    accept(1)
    due, started = counted("notifications.message"), time.monotonic()
    bells.ring("shared.run_intents", INTENT)
    wait_until(lambda: sent() == due, worker.output)
    return time.monotonic() - started


def latency_once_it_is_back(bells: Bells, worker: Process) -> float:
    """The first latency of a ring that was heard, which the worker's own look did not beat."""
    deadline = time.monotonic() + processes.PATIENCE_SECONDS
    while time.monotonic() < deadline:
        heard = worker.output().count("shared.run_intents")
        took = seconds_from_due_to_done(bells, worker)
        if worker.output().count("shared.run_intents") > heard and took < 2:
            return took
    pytest.fail(worker.output())


def assert_told_once_each(folder: Path, count: int) -> None:
    drain(DISPATCHER)
    assert outstanding() == 0
    assert sent() == counted("notifications.message") == count
    assert distinct("notifications.message", "event_id") == count
    assert len(mails_by_id(folder / "mail")) == len(list((folder / "mail").iterdir())) == count
