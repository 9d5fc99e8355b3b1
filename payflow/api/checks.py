"""
What readiness looks at, and how often.

Anybody may ask, so one look answers all who come within two seconds; and nobody waits long for what
lies outside: a broker or a Redis that has not answered within a second is DOWN. A look itself may
hang with PostgreSQL; what was found before is then believed for ten seconds.
"""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection

from payflow import brokers
from shared import clock
from shared.event_bus.standing import is_behind

UP, DOWN = "UP", "DOWN"
KEPT_SECONDS = 2.0
BELIEVED_SECONDS = 10.0
LOOK_SECONDS = 2.0
"""How long others wait for a look once nothing is believed: it may wait a second by itself."""
PATIENCE_SECONDS = 1.0
_MIN_FREE_BYTES = 100 * 1024 * 1024


class Kept:
    """The last findings, shared by all who ask until they are two seconds old."""

    def __init__(self, look: Callable[[], dict[str, str]]) -> None:
        """Have found nothing yet."""
        self._look = look
        self._looking = threading.Lock()
        self._found: dict[str, str] = {}
        self._at = float("-inf")

    def findings(self) -> dict[str, str]:
        """What was found; while somebody looks, the others are told what was found before."""
        if self._is_younger_than(KEPT_SECONDS):
            return self._found
        is_believed = self._is_younger_than(BELIEVED_SECONDS)
        if not self._looking.acquire(timeout=0 if is_believed else LOOK_SECONDS):
            return self._found if is_believed else dict.fromkeys(("database", *self._found), DOWN)
        try:
            if not self._is_younger_than(KEPT_SECONDS):
                self._found, self._at = self._look(), time.monotonic()
        finally:
            self._looking.release()
        return self._found

    def forget(self) -> None:
        """Look again next time."""
        self._found, self._at = {}, float("-inf")

    def _is_younger_than(self, seconds: float) -> bool:
        return time.monotonic() < self._at + seconds


class Outside:
    """Something that is reached by network, tried in a thread that nobody waits for in vain."""

    def __init__(self, knock: Callable[[], None]) -> None:
        """Have tried nothing yet."""
        self._knock = knock
        self._thread: threading.Thread | None = None
        self._answered = False

    def start(self) -> None:
        """Begin a try, unless the last one still hangs: there is never more than one."""
        if self._thread is None or not self._thread.is_alive():
            self._answered = False
            self._thread = threading.Thread(target=self._try, name="readiness", daemon=True)
            self._thread.start()

    def state(self, deadline: float) -> str:
        """UP if it answers before the deadline, by the monotonic clock."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            return UP if self._answered and not self._thread.is_alive() else DOWN
        return DOWN

    def _try(self) -> None:
        try:
            self._knock()
        except Exception:  # noqa: BLE001 - whatever a client library raises, it is not UP
            return
        self._answered = True


def database() -> str:
    """Whether it answers and no migration is pending."""
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        return DOWN
    return DOWN if pending else UP


def dispatcher() -> str:
    """Whether nothing that is due has waited for longer than any dispatcher's poll period."""
    try:
        return DOWN if is_behind(clock.now()) else UP
    except (DatabaseError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        return DOWN


def disk() -> str:
    """Whether the disk of the home has room; of its parent while there is none."""
    home = Path(settings.HOME)
    place = next(path for path in (home, *home.absolute().parents) if path.exists())
    return UP if shutil.disk_usage(place).free >= _MIN_FREE_BYTES else DOWN


def _knock_at_broker() -> None:
    url = settings.CELERY_BROKER_URL
    if url.startswith("pgmq:"):
        # kombu would keep a pool and a listening thread, for a question that is asked once.
        psycopg.connect(f"postgresql:{url.removeprefix('pgmq:')}", connect_timeout=1).close()
        return
    options = brokers.options(url)
    with Connection(url, connect_timeout=PATIENCE_SECONDS, transport_options=options) as line:
        line.connect()


def _knock_at_redis() -> None:
    from redis import Redis  # an extra: only who names a Redis needs it

    limits = {"socket_connect_timeout": PATIENCE_SECONDS, "socket_timeout": PATIENCE_SECONDS}
    with Redis.from_url(settings.REDIS_URL, **limits) as redis:
        redis.ping()


_broker, _redis = Outside(_knock_at_broker), Outside(_knock_at_redis)


def _look() -> dict[str, str]:
    outside = {
        name: place
        for name, place, is_configured in (
            ("broker", _broker, settings.CELERY_BROKER_URL),
            ("redis", _redis, settings.REDIS_URL),
        )
        if is_configured
    }
    for place in outside.values():
        place.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    found = {"database": database()}
    found |= {name: place.state(deadline) for name, place in outside.items()}
    found["dispatcher"] = dispatcher() if found["database"] == UP else DOWN
    return found | {"disk": disk()}


readiness = Kept(_look)
