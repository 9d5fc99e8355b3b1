"""A listener of the tests' own, and a table for its effects that would show every repetition."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from shared import clock
from shared.event_bus import _registry, publish
from shared.event_bus._deliver import deliver
from shared.events.operators import OperatorActionTaken
from shared.identifiers import new_id

LISTENER = "test.effects"


@dataclass
class Effects:
    """What the listener under test does, and what it did."""

    table: str = "public.bus_test_effect"
    before: Callable[[Sequence[OperatorActionTaken]], None] = lambda events: None
    batches: list[int] = field(default_factory=list)

    def run(self, events: Sequence[OperatorActionTaken]) -> None:
        """Note the tests' events in the table, after whatever the test wants to happen first."""
        self.batches.append(len(events))
        self.before(events)
        with connection.cursor() as cursor:
            for event in (event for event in events if event.action == "test"):
                cursor.execute(
                    f"INSERT INTO {self.table} (event_id, story, number) VALUES (%s, %s, %s)",
                    [event.event_id, event.correlation_id, int(event.subject)],
                )

    def rows(self) -> list[tuple[UUID, int]]:
        """(story, number) in the order in which the effects happened."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT story, number FROM {self.table} ORDER BY id")
            rows: list[tuple[UUID, int]] = cursor.fetchall()
            return rows

    def numbers(self) -> list[int]:
        """The numbers in the order in which the effects happened."""
        return [number for _, number in self.rows()]


@pytest.fixture
def effects(transactional_db: None) -> Iterator[Effects]:
    """A registered listener whose effects are rows."""
    effects = Effects()
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {effects.table}")
        cursor.execute(
            f"CREATE TABLE {effects.table} (id bigint GENERATED ALWAYS AS IDENTITY,"
            " event_id uuid, story uuid, number int)"
        )
        cursor.execute(f"GRANT ALL ON {effects.table} TO {connection.settings_dict['USER']}")
    entry = _registry.Listener(LISTENER, (OperatorActionTaken,), effects.run)
    _registry.listeners[LISTENER] = entry
    _registry.ids_listening_to.cache_clear()
    yield effects
    del _registry.listeners[LISTENER]
    _registry.ids_listening_to.cache_clear()
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE {effects.table}")


def action(number: int, story: object = None, **changes: Any) -> OperatorActionTaken:
    """An event; the number travels in its subject."""
    story = str(story or new_id())
    facts = {"actor": "ada", "action": "test", "subject": str(number), "reason": "because"}
    return OperatorActionTaken(
        correlation_id=story,
        subject_id=story,
        occurred_at=clock.iso(clock.now()),
        **facts | changes,
    )


def publish_committed(*events: OperatorActionTaken) -> None:
    """Publish in a transaction of its own."""
    with transaction.atomic():
        publish(*events)


def deliver_to_test() -> int:
    """One batch for the listener under test."""
    return deliver(_registry.listeners[LISTENER])


def outstanding(where: str = "true") -> list[dict[str, Any]]:
    """The listener's publications."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, event_id, attempts, failures, due_at, parked_at, last_error"
            f" FROM shared.publication WHERE listener_id = %s AND {where} ORDER BY event_id",
            [LISTENER],
        )
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def hasten() -> None:
    """Let time pass: whatever waits for its due time is due now."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shared.publication SET due_at = now() WHERE due_at IS NOT NULL")
