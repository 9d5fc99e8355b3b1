"""
Worker processes for the test of order: `python -m shared.tests.event_bus.order_workers 8 heads`.

They are forked from one process that has loaded Django once. Each delivers until its input, shared
by all, has ended and nothing is left; `naive` ones claim as one should not: oldest row first, taken
by whoever comes, without a look at heads.
"""

import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402

from shared.event_bus import _registry  # noqa: E402
from shared.event_bus._deliver import deliver, deliver_again  # noqa: E402
from shared.events.operators import OperatorActionTaken  # noqa: E402

LISTENERS = ("test.order", "test.order_too")
TABLE = "public.order_test_effect"
_PAUSE_SECONDS = 0.05
_NAIVE_BATCH = 3
_NAIVE_CLAIM = """
SELECT publication.id, event.event_id, publication.correlation_id, event.payload->>'subject'
FROM shared.publication JOIN shared.event ON event.sequence = publication.event_id
WHERE publication.listener_id = %s
ORDER BY publication.id LIMIT %s FOR UPDATE OF publication SKIP LOCKED
"""
_NOTE = (
    f"INSERT INTO {TABLE} (listener_id, event_id, story, number, worker)"
    " VALUES (%s, %s, %s, %s, %s)"
)


def register() -> None:
    """Two listeners that note what they are given, in the order in which they are given it."""
    for listener_id in LISTENERS:
        _registry.listeners[listener_id] = _registry.Listener(
            listener_id, (OperatorActionTaken,), noting(listener_id)
        )
    _registry.ids_listening_to.cache_clear()


def noting(listener_id: str) -> Callable[[Sequence[OperatorActionTaken]], None]:
    def note_all(events: Sequence[OperatorActionTaken]) -> None:
        note(listener_id, [(e.event_id, e.correlation_id, int(e.subject)) for e in events])

    return note_all


def note(listener_id: str, rows: Sequence[tuple[Any, Any, int]]) -> None:
    """Write effects in the order given."""
    with connection.cursor() as cursor:
        cursor.executemany(_NOTE, [(listener_id, *row, os.getpid()) for row in rows])


def deliver_heads() -> int:
    """One turn of the product's own claim."""
    ours = [_registry.listeners[listener_id] for listener_id in LISTENERS]
    return sum(deliver(entry) for entry in ours) + deliver_again()


def deliver_naively() -> int:
    """One turn of the claim that everybody writes first."""
    return sum(_deliver_naively(listener_id) for listener_id in LISTENERS)


def _deliver_naively(listener_id: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_NAIVE_CLAIM, [listener_id, _NAIVE_BATCH])
        rows = cursor.fetchall()
        if rows:
            note(listener_id, [(row[1], row[2], int(row[3])) for row in rows])
            cursor.execute(
                "DELETE FROM shared.publication WHERE id = ANY(%s)", [[row[0] for row in rows]]
            )
        return len(rows)


def work(turn: Callable[[], int]) -> None:
    """Deliver until everything was published and nothing is left of it."""
    while True:
        is_all_published = bool(select.select([sys.stdin], [], [], 0)[0])
        if not turn():
            if is_all_published and _left() == 0:
                return
            time.sleep(_PAUSE_SECONDS)


def _left() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM shared.publication WHERE listener_id = ANY(%s)", [list(LISTENERS)]
        )
        return int(cursor.fetchone()[0])


def main(workers: int, claim: str) -> int:
    """Fork the workers and wait for all; answers how many of them ended badly."""
    register()
    turn = {"heads": deliver_heads, "naive": deliver_naively}[claim]
    pids = [_forked(turn) for _ in range(workers)]
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


def _forked(turn: Callable[[], int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work(turn)
        connection.close()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
