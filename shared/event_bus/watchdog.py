"""
Notices that this worker no longer hears its broker, and has it replaced.

# Note [A deaf worker]

Celery's consumer is known to stop consuming without a word, mostly after a reconnect: the process
lives, its heartbeats beat, messages wait. So every worker has a queue of its own and sends pings to
it. If the broker accepts one after the other and none arrives, nor anything else, while the worker
has room for messages, then it is deaf: it stops what it is doing and exits, and whoever started it
starts it again. A broker that refuses pings is down, which is not the worker's fault, and a new
worker would hear no better.

Rows wait for none of this: another thread looks around by itself, whatever was heard.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from shared.event_bus import _doorbell, celery_tasks

log = structlog.get_logger(__name__)

_LOCKS = 7_002
"""The first half of the key of slots' advisory locks; jobs use another one."""
_ENOUGH_PINGS = 3
"""A queue that is purged loses the ping that waits in it, and proves nothing."""
_PINGS_PER_PATIENCE = 4
_LOOKS_PER_PATIENCE = 2
_RECONNECTING_TIMES_PATIENCE = 5
_SECONDS_TO_STOP = 15


class Hearing:
    """What was sent to this worker and not heard yet, and since when: decides what is deaf."""

    def __init__(self, patience_seconds: float) -> None:
        """Whoever hears nothing for so long, although it was spoken to, is deaf."""
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._unheard_since: float | None = None
        self._unheard = 0

    def pinged(self, now: float) -> None:
        """Count a ping that the broker has accepted."""
        with self._lock:
            self._unheard += 1
            if self._unheard_since is None:
                self._unheard_since = now

    def heard(self) -> None:
        """Begin anew: something was received, or there is an excuse for not receiving."""
        with self._lock:
            self._unheard, self._unheard_since = 0, None

    def is_deaf(self, now: float, *, times: int = 1) -> bool:
        """Whether enough pings went unheard for long enough (`times` the patience)."""
        with self._lock:
            since = self._unheard_since
            return (
                since is not None
                and self._unheard >= _ENOUGH_PINGS
                and now - since >= self._patience_seconds * times
            )


class Slot:
    """
    The smallest number that no other living worker has; names what a worker calls its own.

    Numbers are used again, so that queues named after them do not pile up. PostgreSQL knows who
    lives: a session holds an advisory lock.
    """

    def __init__(self) -> None:
        """Take a number."""
        self._line = _doorbell.open_line()
        self.number = 1
        while not self._lock():
            self.number += 1

    def is_held(self) -> bool:
        """Whether the number is still ours; takes it again when the session was cut."""
        try:
            self._line.execute("SELECT 1")
            return True
        except psycopg.Error:
            self._line.close()
            self._line = _doorbell.open_line()
            return self._lock()

    def _lock(self) -> bool:
        query = "SELECT pg_try_advisory_lock(%s, %s)"
        return self._line.execute(query, [_LOCKS, self.number]).fetchone() == (True,)


@dataclass(frozen=True)
class Worker:
    """What the watchdog asks of the worker it watches."""

    ping: Callable[[], object]
    """Sends a message to the worker's own queue; raises when the broker does not confirm it."""
    has_room: Callable[[], bool]
    """Whether it takes messages: a full worker takes none, and is not deaf."""
    is_connected: Callable[[], bool]
    stop: Callable[[], object]
    """Asks it to finish what it has begun and to end; need not succeed."""


class Watchdog:
    """A thread beside a worker that watches whether it hears."""

    def __init__(self, worker: Worker, slot: Slot, *, patience_seconds: float) -> None:
        """Watch a worker; `heard` must be called for whatever it receives."""
        self._worker, self._slot, self._patience_seconds = worker, slot, patience_seconds
        self._hearing = Hearing(patience_seconds)
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="ping")

    def start(self) -> None:
        """Start watching, until the process ends."""
        _start_thread("watchdog", self._patience_seconds / _PINGS_PER_PATIENCE, self._watch)

    def heard(self, **_: Any) -> None:
        """Note that the worker received a message, whichever."""
        self._hearing.heard()

    def _watch(self) -> None:
        if not self._worker.has_room():
            self._hearing.heard()
        elif self._hearing.is_deaf(time.monotonic(), times=self._patience_times()):
            self._leave("hears nothing although the broker takes messages for it")
        elif not self._still_has_its_number():
            self._leave("lost its number to another worker")
        else:
            self._ping()

    def _ping(self) -> None:
        ping = self._sender.submit(self._worker.ping)
        if not wait([ping], timeout=self._patience_seconds).done:
            # Every way to send has a time-out far below this one.
            self._leave("has been sending one message all the time")
        elif error := ping.exception():
            log.info("broker cannot be reached for now", reason=str(error).strip())
            self._hearing.heard()
        else:
            self._hearing.pinged(time.monotonic())

    def _patience_times(self) -> int:
        # Celery waits up to half a minute between two attempts to connect; it may also hang.
        return 1 if self._worker.is_connected() else _RECONNECTING_TIMES_PATIENCE

    def _still_has_its_number(self) -> bool:
        try:
            return self._slot.is_held()
        except psycopg.Error:
            return True  # Without the database nobody can take it either.

    def _leave(self, reason: str) -> None:
        log.error("worker is to be replaced", reason=reason)
        threading.Timer(_SECONDS_TO_STOP, os._exit, [1]).start()
        celery_tasks.stopping.set()
        self._worker.stop()
        threading.Event().wait()


def look_around_now_and_then(*, patience_seconds: float) -> None:
    """Start the thread that does what is due without being told, until the process ends."""
    _start_thread("look-around", patience_seconds / _LOOKS_PER_PATIENCE, celery_tasks.look_around)


def _start_thread(name: str, pause_seconds: float, run: Callable[[], None]) -> None:
    arguments = (pause_seconds, run)
    threading.Thread(target=_repeat, args=arguments, name=name, daemon=True).start()


def _repeat(pause_seconds: float, run: Callable[[], None]) -> None:
    while not celery_tasks.stopping.wait(pause_seconds):
        try:
            run()
        except Exception:
            log.exception("the watchdog stumbled, going on")
