"""
The doorbell: telling sleeping workers, after a commit, that there is something to do.

It carries no truth. What is due stands in rows; losing every ring costs at most the poll period.
Until a process connects it (see `connect`), ringing does nothing: tests and one-shot commands
drain inline.

# Note [Why the bell has a thread]

NOTIFY inside a money transaction takes a global lock at commit, and even alone it costs a round
trip; a broker that is down may block for seconds. So a commit only drops names into a set, and a
thread with a connection of its own empties the set: a burst of commits becomes one ring.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import structlog
from django.db import connection, transaction

from shared.event_bus import _metrics
from shared.event_bus._registry import CELERY, intents

log = structlog.get_logger(__name__)

CHANNEL = "payflow_doorbell"
_LINE_OPTIONS = frozenset(
    {
        "connect_timeout",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "target_session_attrs",
    }
)
Send = Callable[[frozenset[str]], None]

_bells: list[Callable[[frozenset[str]], None]] = []


def ring(names: frozenset[str]) -> None:
    """Say that listeners or intents of these names have something to do."""
    for bell in _bells:
        bell(names)


def wake(intent_id: str) -> None:
    """Ring for an intent's runner once the current transaction has committed."""
    transaction.on_commit(partial(ring, frozenset({intent_id})), robust=True)


def connect(bell: Callable[[frozenset[str]], None]) -> None:
    """Let every ring of this process reach `bell`, which must return at once."""
    _bells.append(bell)


def disconnect(bell: Callable[[frozenset[str]], None]) -> None:
    """Undo `connect`."""
    _bells.remove(bell)


class Ringer:
    """A thread that passes rings on, coalesced: at most one in `pause_seconds`."""

    def __init__(
        self, name: str, send: Send, *, pause_seconds: float, hang_up: Callable[[], object] = int
    ) -> None:
        """Name the thread, how to send, how long to gather rings, what ends it."""
        self._send, self._pause_seconds, self._hang_up = send, pause_seconds, hang_up
        self._names: set[str] = set()
        self._rung = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._start_once = threading.Lock()
        self._is_stopping = False

    def __call__(self, names: frozenset[str]) -> None:
        """Take a ring; the thread starts with the first one, after any fork."""
        with self._rung:
            self._names |= names
            self._rung.notify()
        if self._thread.ident is None:
            with self._start_once:
                if self._thread.ident is None:
                    self._thread.start()

    def stop(self) -> None:
        """End the thread; what was rung and not sent is lost, as any ring may be."""
        with self._rung:
            self._is_stopping = True
            self._rung.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._rung:
                self._rung.wait_for(lambda: self._names or self._is_stopping)
                names, self._names = frozenset(self._names), set()
            if self._is_stopping:
                break
            try:
                self._send(names)
            except Exception as error:  # noqa: BLE001 - the rows stay due, the poll finds them
                log.info("doorbell lost", names=sorted(names), reason=str(error).strip())
            time.sleep(self._pause_seconds)
        self._hang_up()


def for_dispatchers() -> Ringer:
    """A bell that wakes dispatchers anywhere through PostgreSQL's NOTIFY."""
    line: list[psycopg.Connection[Any]] = []

    def notify(names: frozenset[str]) -> None:
        if not line or line[0].closed:
            line[:] = [open_line()]
        try:
            line[0].execute("SELECT pg_notify(%s, %s)", [CHANNEL, ",".join(sorted(names))])
            _metrics.rang("dispatchers")
        except psycopg.Error:
            line[0].close()
            raise

    def hang_up() -> None:
        while line:
            line.pop().close()

    return Ringer("doorbell-notify", notify, pause_seconds=0.02, hang_up=hang_up)


def for_celery(send_task: Callable[[str], None]) -> Callable[[frozenset[str]], None]:
    """A bell that wakes Celery for the intents it runs; `send_task` takes an intent id."""

    def send(names: frozenset[str]) -> None:
        for name in names:
            send_task(name)
            _metrics.rang("celery")

    ringer = Ringer("doorbell-celery", send, pause_seconds=0.2)

    def bell(names: frozenset[str]) -> None:
        ours = frozenset(n for n in names if n in intents and intents[n].runs_in is CELERY)
        if ours:
            ringer(ours)

    return bell


@contextmanager
def listening(heard: Callable[[frozenset[str]], None]) -> Iterator[None]:
    """Call `heard` with the names rung anywhere, in a thread, until the block ends."""
    stopping = threading.Event()
    thread = threading.Thread(
        target=_listen, args=(heard, stopping), name="doorbell-listen", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=2)


def _listen(heard: Callable[[frozenset[str]], None], stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            with open_line() as line:
                line.execute(f"LISTEN {CHANNEL}")
                while not stopping.is_set():
                    for notification in line.notifies(timeout=0.5):
                        heard(frozenset(notification.payload.split(",")))
        except psycopg.Error as error:
            log.info("doorbell not heard for now", reason=str(error).strip())
            stopping.wait(1)


def open_line() -> psycopg.Connection[Any]:
    """A connection outside Django's: autocommit, used by one thread for bells alone."""
    settings = connection.settings_dict
    # As Django connects (TLS, keepalives), without limits that a bell has no use for.
    options = {k: v for k, v in settings["OPTIONS"].items() if k in _LINE_OPTIONS or "ssl" in k}
    return psycopg.connect(
        **options,
        host=settings["HOST"],
        port=settings["PORT"] or None,
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        application_name="payflow doorbell",
        autocommit=True,
    )
