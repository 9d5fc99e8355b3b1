"""
E4: per story and listener, effects follow the order of commits, with 8 workers and bursts.

`make order EVENTS=100000` runs the full load. The naive claim, oldest row first without a look at
heads, fails the same assertions.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection, connections

from shared.event_bus import _registry
from shared.identifiers import new_id
from shared.tests.event_bus import order_workers
from shared.tests.event_bus.conftest import action, publish_committed
from shared.tests.event_bus.order_workers import LISTENERS, TABLE

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

ROOT = Path(__file__).resolve().parents[3]
EVENTS = int(os.environ.get("PAYFLOW_ORDER_EVENTS", "4000"))
PER_STORY = 50
BURST = 10
STORIES_AT_ONCE = 80
WORKERS = 8
NAIVE_EVENTS = 2000


@dataclass(frozen=True)
class Found:
    """What the effects say."""

    effects: int
    missing: int
    doubled: int
    inversions: int
    workers: int

    @property
    def holds(self) -> bool:
        return not (self.missing or self.doubled or self.inversions)


class TestOrder:
    def test_is_kept_by_eight_workers(self, table: None) -> None:
        with workers("heads"):
            publish_in_bursts(EVENTS)
        found = looked_at(EVENTS)
        sys.stdout.write(f"{EVENTS:,} events, {len(LISTENERS)} listeners: {found}\n")
        assert found.holds, found
        assert found.effects == len(LISTENERS) * EVENTS
        assert found.workers > 1, "one worker alone proves nothing"

    def test_is_not_kept_by_the_naive_claim(self, table: None) -> None:
        with workers("naive"):
            publish_in_bursts(NAIVE_EVENTS)
        found = looked_at(NAIVE_EVENTS)
        sys.stdout.write(f"naive claim, {NAIVE_EVENTS:,} events: {found}\n")
        assert found.inversions > 0
        assert not found.holds


@pytest.fixture
def table(transactional_db: None) -> Iterator[None]:
    """The listeners' table, and the listeners in this process, which publishes."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(
            f"CREATE TABLE {TABLE} (id bigint GENERATED ALWAYS AS IDENTITY, listener_id text,"
            " event_id uuid, story uuid, number int, worker int)"
        )
        cursor.execute(f"GRANT ALL ON {TABLE} TO {connection.settings_dict['USER']}")
    order_workers.register()
    yield
    for listener_id in LISTENERS:
        del _registry.listeners[listener_id]
    _registry.ids_listening_to.cache_clear()
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


@contextmanager
def workers(claim: str) -> Iterator[None]:
    """Eight worker processes, while a block publishes and until they have delivered all of it."""
    at = connection.settings_dict
    url = f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "shared.tests.event_bus.order_workers", str(WORKERS), claim],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url, "PAYFLOW_SQL_WALL": ""},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        yield
        process.stdin.close()
        assert process.wait(timeout=120 + EVENTS / 50) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def publish_in_bursts(events: int) -> None:
    """Bursts of one story after the other, over and over, each burst one transaction."""
    stories = [new_id() for _ in range(events // PER_STORY)]
    for begin in range(0, len(stories), STORIES_AT_ONCE):
        for first in range(0, PER_STORY, BURST):
            for story in stories[begin : begin + STORIES_AT_ONCE]:
                numbers = range(first, first + BURST)
                publish_committed(*(action(number, story) for number in numbers))


def looked_at(events: int) -> Found:
    """Count what is missing, doubled, and before what was committed earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH placed AS (
                SELECT *, lag(number) OVER (PARTITION BY listener_id, story ORDER BY id) AS last
                FROM {TABLE})
            SELECT count(*), count(DISTINCT (listener_id, event_id)),
                   count(*) FILTER (WHERE number < last), count(DISTINCT worker)
            FROM placed"""
        )
        effects, distinct, inversions, seen = cursor.fetchone()
    return Found(
        effects=effects,
        missing=len(LISTENERS) * events - distinct,
        doubled=effects - distinct,
        inversions=inversions,
        workers=seen,
    )
