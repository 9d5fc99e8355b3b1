"""
The dispatcher: one loop that drains the registry and runs the outside work given to it.

Hosted by `manage.py dispatch`, as many as you like on as many machines as you like, or by a thread
of the web process. PostgreSQL's SKIP LOCKED shares the work; nothing else is shared.
"""

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection

from shared.event_bus import _deliver, _doorbell, _outstanding, _perform
from shared.event_bus._outstanding import Claim
from shared.event_bus._registry import CELERY, DISPATCHER, Intent, Runner, intents, listeners

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
CALLS_AT_ONCE = 64


class Dispatcher:
    """One loop, and a bounded pool of threads for outside calls that stays off the database."""

    def __init__(self) -> None:
        """Start with everything to look at."""
        self._names: set[str] = set()
        self._names_lock = threading.Lock()
        self._woken = threading.Event()
        self._finished: queue.SimpleQueue[tuple[Intent, Claim[tuple[Any, Any]]]] = (
            queue.SimpleQueue()
        )
        self._running = 0
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="call")
        self._polled_at = float("-inf")

    def ring(self, names: frozenset[str]) -> None:
        """Take a ring from any thread."""
        with self._names_lock:
            self._names |= names
        self._woken.set()

    def run(self, stopping: threading.Event) -> None:
        """Drain until `stopping` is set; survives the database going away and coming back."""
        _doorbell.connect(self.ring)
        try:
            with _doorbell.listening(self.ring):
                while not stopping.is_set():
                    self._turn_or_wait_for_database(stopping)
        finally:
            _doorbell.disconnect(self.ring)
            self._stop()

    def turn(self) -> None:
        """Do what is due for the names that were rung, or for all of them once a poll period."""
        if time.monotonic() - self._polled_at >= POLL_SECONDS:
            self._poll()
        with self._names_lock:
            names, self._names = self._names, set()
        for entry in listeners.values():
            if entry.id in names and _deliver.deliver(entry):
                self.ring(frozenset({entry.id}))
        for intent in _run_by(DISPATCHER):
            if intent.id in names:
                self._start_calls(intent)
        self._record_finished()

    def _turn_or_wait_for_database(self, stopping: threading.Event) -> None:
        try:
            self._woken.wait(max(0.0, self._polled_at + POLL_SECONDS - time.monotonic()))
            self._woken.clear()
            self.turn()
        except (OperationalError, InterfaceError) as error:
            connection.close_if_unusable_or_obsolete()
            log.warning("database trouble, going on in a moment", reason=str(error).strip())
            stopping.wait(0.2)

    def _poll(self) -> None:
        self._polled_at = time.monotonic()
        self.ring(frozenset(listeners) | {intent.id for intent in _run_by(DISPATCHER)})
        _deliver.park_the_undeliverable()
        for intent in _run_by(DISPATCHER):
            _outstanding.park_endless(intent.rows)
        while _deliver.deliver_again():
            pass

    def _start_calls(self, intent: Intent) -> None:
        free = CALLS_AT_ONCE - self._running
        claims = _perform.claim(intent, free) if free else []
        self._running += len(claims)
        for claim in claims:
            future = self._calls.submit(_perform.run, intent, claim)
            future.add_done_callback(partial(self._finish, intent))
        if claims:
            self.ring(frozenset({intent.id}))

    def _finish(self, intent: Intent, done: "Future[Claim[tuple[Any, Any]]]") -> None:
        self._finished.put((intent, done.result()))
        self.ring(frozenset({intent.id}))

    def _record_finished(self) -> None:
        by_intent: dict[str, list[Claim[tuple[Any, Any]]]] = {}
        while not self._finished.empty():
            intent, claim = self._finished.get_nowait()
            by_intent.setdefault(intent.id, []).append(claim)
        for intent_id, claims in by_intent.items():
            self._running -= len(claims)
            _perform.record(intents[intent_id], claims)

    def _stop(self) -> None:
        self._calls.shutdown(wait=True, cancel_futures=True)
        self._record_finished()
        connection.close()


def drain(*runners: Runner, limit: int = 100) -> None:
    """
    Do everything that is due, inline, until nothing is: for tests and one-shot commands.

    Runs the rows of the dispatcher's and of Celery's intents unless runners are named. What is not
    due yet (backed off, leased elsewhere) stays.
    """
    chosen = [i for runner in runners or (DISPATCHER, CELERY) for i in _run_by(runner)]
    busy = True
    while busy:
        done = [_deliver.deliver(entry) for entry in listeners.values()]
        done += [_perform.perform(intent, limit) for intent in chosen]
        done.append(_deliver.deliver_again())
        busy = any(done)


def _run_by(runner: Runner) -> Sequence[Intent]:
    return [intent for intent in intents.values() if intent.runs_in is runner]
