"""The doorbell wakes dispatchers in other processes, and losing it loses nothing."""

import queue
import threading
import time

import pytest
from django.db import transaction

from shared.event_bus import _doorbell, wake
from shared.event_bus._registry import CELERY
from shared.event_bus.dispatcher import Dispatcher
from shared.tests.event_bus.conftest import Effects, action, publish_committed

pytestmark = pytest.mark.django_db

PATIENCE_SECONDS = 10


class TestDoorbell:
    def test_is_heard_across_connections(self, transactional_db: None) -> None:
        heard: queue.Queue[frozenset[str]] = queue.Queue()
        bell = _doorbell.for_dispatchers()
        with _doorbell.listening(heard.put):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while heard.empty() and time.monotonic() < deadline:
                bell(frozenset({"a.listener"}))
                heard_now = _get(heard, 0.2)
                if heard_now:
                    heard.put(heard_now)

        bell.stop()
        assert heard.get_nowait() == {"a.listener"}

    def test_rings_after_the_commit_and_not_before(self) -> None:
        rung: list[frozenset[str]] = []
        _doorbell.connect(rung.append)
        try:
            with transaction.atomic():
                wake("some.intent")
                assert rung == []
            assert rung == [{"some.intent"}]
        finally:
            _doorbell.disconnect(rung.append)

    def test_does_not_ring_after_a_rollback(self) -> None:
        rung: list[frozenset[str]] = []
        _doorbell.connect(rung.append)
        try:
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                wake("some.intent")
                raise ZeroDivisionError
            assert rung == []
        finally:
            _doorbell.disconnect(rung.append)

    def test_reaches_celery_for_its_intents_only(self) -> None:
        sent: queue.Queue[str] = queue.Queue()
        bell = _doorbell.for_celery(sent.put)

        bell(frozenset({"payments.operation", "notifications.message", "no.such"}))

        assert sent.get(timeout=PATIENCE_SECONDS) == "notifications.message"
        assert sent.empty()

    def test_a_broker_that_is_down_disturbs_nobody(self) -> None:
        attempts = threading.Semaphore(0)

        def refuse(name: str) -> None:
            attempts.release()
            raise ConnectionRefusedError

        bell = _doorbell.for_celery(refuse)
        for _ in range(2):
            bell(frozenset({"notifications.message"}))
            assert attempts.acquire(timeout=PATIENCE_SECONDS)


class TestDispatcher:
    @pytest.fixture
    def running(self, effects: Effects) -> threading.Event:
        return threading.Event()

    def test_takes_what_is_due_without_a_bell(self, effects: Effects) -> None:
        publish_committed(*(action(number) for number in range(3)))
        stopping, thread = self.start()
        try:
            wait_until(lambda: len(effects.rows()) == 3)
        finally:
            stopping.set()
            thread.join(timeout=PATIENCE_SECONDS)

    def test_stops_when_told(self, effects: Effects) -> None:
        stopping, thread = self.start()

        stopping.set()
        thread.join(timeout=PATIENCE_SECONDS)

        assert not thread.is_alive()

    def start(self) -> tuple[threading.Event, threading.Thread]:
        stopping = threading.Event()
        thread = threading.Thread(target=Dispatcher().run, args=(stopping,))
        thread.start()
        return stopping, thread


def test_celery_runs_the_e_mails() -> None:
    from shared.event_bus._registry import intents

    assert intents["notifications.message"].runs_in is CELERY


def wait_until(holds: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _get(heard: "queue.Queue[frozenset[str]]", seconds: float) -> frozenset[str] | None:
    try:
        return heard.get(timeout=seconds)
    except queue.Empty:
        return None
