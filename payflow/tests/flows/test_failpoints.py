"""
Every named point of the bus × kill -9, an exception, a stall, a cut connection: real payments.

Each point is passed by the process that passes it in life: the web publishes, a dispatcher delivers
and calls the processor, a Celery worker sends e-mails. Whatever went wrong, every payment that was
acknowledged is decided, every effect is there once, and the registry is empty.
"""

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import connections

from payflow.runtime.hammer.client import SandboxControl
from payflow.runtime.scratch import free_port
from payflow.tests import processes
from payflow.tests.flows.test_kill import (
    InsistentClient,
    assert_every_effect_exactly_once,
    counted,
    decided,
    in_transaction,
    outstanding,
    query,
    registered,
    sent,
    terms,
)
from payflow.tests.processes import Process, wait_until
from shared.event_bus import drain
from shared.event_bus._failpoints import Action, Failpoint

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

P = Failpoint
WEB = (P.PUBLISH_WRITTEN, P.PUBLISH_COMMITTED)
LISTENING = (P.DELIVER_CLAIMED, P.FINISH_REMOVED, P.FINISH_EFFECT, P.FINISH_COMMITTED)
RECORDING = (P.RECORD_MARKED, P.RECORD_DONE, P.RECORD_COMMITTED)
DISPATCHER = (*LISTENING, P.FAILURE_COUNTED, P.PERFORM_CLAIMED, P.PERFORM_DONE, *RECORDING)
WORKER = (P.PERFORM_CLAIMED, P.PERFORM_DONE, *RECORDING)

STALL = f"{Action.STALL}:0.7"
# What makes a failure that can be counted: the call is made, and then something raises.
FAILS = f"{P.PERFORM_DONE}={Action.RAISE}"
PAYMENTS_PER_KILL = 3
PAYMENTS = 16


class TestEnumeration:
    def test_knows_every_point(self) -> None:
        assert {*WEB, *DISPATCHER, *WORKER} == set(Failpoint)


class TestKill9:
    def test_of_the_web_at_every_point(self, tmp_path: Path) -> None:
        merchant = registered()
        for number, point in enumerate(WEB):
            keys = [f"{point}-{n}" for n in range(PAYMENTS_PER_KILL)]
            client = InsistentClient(merchant, port := free_port(), keys=keys, lanes=1)
            # One worker at a time; the one that the master starts next is armed like the first.
            armed = arming(f"{point}={Action.KILL}@{PAYMENTS_PER_KILL}")
            with processes.web(tmp_path, port, PAYFLOW_WEB_WORKERS="1", **armed) as web:
                web.start()
                client.start()
                client.join()
                assert passed(web) == {point: 1}
            assert client.repeats > 0, "nobody noticed that it was killed"
            assert set(client.answers.values()) == {202}
            assert counted("payments.payment") == (number + 1) * PAYMENTS_PER_KILL
        drain()
        assert_all_held(len(WEB) * PAYMENTS_PER_KILL)

    def test_of_the_dispatcher_at_every_point(self, tmp_path: Path) -> None:
        for point in DISPATCHER:
            for number in range(PAYMENTS_PER_KILL):
                in_transaction(terms(f"{point}-{number}"))
            kill_at(point, tmp_path)
            let_time_pass()
        while outstanding():
            drain()
            let_time_pass()
        assert_all_held(len(DISPATCHER) * PAYMENTS_PER_KILL)


class TestTrouble:
    @pytest.mark.parametrize("action", [Action.RAISE, STALL, Action.CUT])
    def test_at_every_point_at_once(self, action: str, tmp_path: Path) -> None:
        keys = [f"key-{number}" for number in range(PAYMENTS)]
        client = InsistentClient(registered(), port := free_port(), keys=keys, lanes=4)
        # Later than the other points, which would keep the failure from being counted.
        calling = ";".join(
            [f"{FAILS}@{PAYMENTS // 2}", *armed_with(action, set(DISPATCHER) - {P.PERFORM_DONE})]
        )

        with ExitStack() as running:
            start = running.enter_context
            web = start(processes.web(tmp_path, port, **arming(*armed_with(action, WEB)))).start()
            dispatcher = start(processes.dispatcher(tmp_path, **arming(calling))).start()
            worker = start(processes.worker(tmp_path, **arming(*armed_with(action, WORKER))))
            worker.start()
            with passing_time():
                client.start()
                client.join()
                wait_until(lambda: decided() == PAYMENTS, dispatcher.output)
                sweep_until_sent(worker)
                wait_until(lambda: outstanding() == 0, dispatcher.output)

            assert set(passed(web)) == set(WEB)
            assert set(passed(dispatcher)) == set(DISPATCHER)
            assert set(passed(worker)) == set(WORKER)
        assert set(client.answers.values()) == {202}
        assert_all_held(PAYMENTS)


class TestNaiveTwin:
    def test_that_removes_and_effects_in_two_transactions_loses_payments(
        self, tmp_path: Path
    ) -> None:
        for number in range(PAYMENTS_PER_KILL):
            in_transaction(terms(f"key-{number}"))
        naive = [sys.executable, "-m", "payflow.tests.flows.naive_dispatcher"]

        kill_at(P.FINISH_REMOVED, tmp_path, naive)
        let_time_pass()
        drain()

        assert outstanding() == 0
        with pytest.raises(AssertionError):
            assert_all_held(PAYMENTS_PER_KILL)


def sweep_until_sent(worker: Process) -> None:
    """As the beat does: a sweep that met a failpoint is followed by another."""
    give_up_at = time.monotonic() + processes.PATIENCE_SECONDS
    while sent() < PAYMENTS:
        assert time.monotonic() < give_up_at, worker.output()
        worker.ask("shared.sweep")


def kill_at(point: Failpoint, folder: Path, command: Sequence[str] = ()) -> None:
    """Run a dispatcher until it kills itself at a point."""
    kill = f"{point}={Action.KILL}"
    armed = arming(FAILS, kill) if point is P.FAILURE_COUNTED else arming(kill)
    dispatcher = processes.dispatcher(folder, **armed)
    if command:
        dispatcher = Process([*command], folder / "naive.log", "", **armed)
    assert dispatcher.run_to_its_end() == -signal.SIGKILL, dispatcher.output()
    assert passed(dispatcher)[point] == 1, dispatcher.output()


def arming(*entries: str) -> dict[str, str]:
    return {"PAYFLOW_FAILPOINTS": ";".join(entries)}


def armed_with(action: str, points: Sequence[Failpoint] | set[Failpoint]) -> list[str]:
    return [f"{point}={action}" for point in points]


def passed(process: Process) -> Counter[Failpoint]:
    """Which points went off, as the process has logged."""
    names = re.findall(r"failpoint passed.* point=(\S+)", process.output())
    return Counter(Failpoint(name) for name in names)


def let_time_pass() -> None:
    """Leases end, and what waits for its time is due; what somebody works on is left alone."""
    for table in ("shared.publication", "payments.operation", "notifications.message"):
        query(
            f"UPDATE {table} SET due_at = now() WHERE id IN (SELECT id FROM {table}"
            " WHERE due_at > now() FOR UPDATE SKIP LOCKED) RETURNING id"
        )


@contextmanager
def passing_time() -> Iterator[None]:
    """Let time pass again and again, so that leases end while their holders stall."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.3):
            let_time_pass()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def assert_all_held(payments: int) -> None:
    """Every effect once in our books, and one hold each in the acquirer's."""
    assert_every_effect_exactly_once(payments)
    assert counted("notifications.message", "parked_at IS NOT NULL") == 0
    ours = {str(row[0]) for row in query("SELECT id FROM payments.payment")}
    url, secret = os.environ["PAYFLOW_SANDBOX_URL"], os.environ["PAYFLOW_SANDBOX_SECRET"]
    lines = SandboxControl(url, secret).lines(after=0)
    held = Counter(line["merchantReference"] for line in lines if line["status"] == "APPROVED")
    assert {reference: held[reference] for reference in ours} == dict.fromkeys(ours, 1)
