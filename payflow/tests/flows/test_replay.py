"""Replaying: what listeners did stays as it is, and what is gone comes back (invariant E3)."""

from collections.abc import Sequence

import pytest
from django.conf import settings
from django.db import connection, connections

from payflow.tests.lives import lived, paid_by
from shared import clock
from shared.event_bus import _registry, drain
from shared.event_bus.replay import BATCH_SIZE, NoSuchListener, Range, replay
from shared.events.base import DomainEvent
from shared.models import Event, Publication
from shared.testing.api import registered_merchant

pytestmark = pytest.mark.django_db

LEDGER = "ledger.post_movements"
_TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1, 2"


def rows_of_modules(**without: str) -> dict[str, list[str]]:
    """Every row of every module's tables, as text."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_TABLES, [settings.MODULES])
        for schema, table in cursor.fetchall():
            name = f"{schema}.{table}"
            condition = without.get(f"{schema}_{table}", "true")
            cursor.execute(f"SELECT row::text FROM {name} AS row WHERE {condition}")
            found[name] = sorted(text for (text,) in cursor.fetchall())
    return found


def business() -> dict[str, list[str]]:
    """Every row of every module, but for the records of the replays themselves."""
    return rows_of_modules(audit_record="event_type <> 'Operator.Action.Taken'")


def told_by_operators() -> int:
    return Event.objects.filter(event_type="Operator.Action.Taken").count()


def again(listener_id: str, chosen: Range | None = None) -> int:
    facts = {"listener_id": listener_id, "actor": "ada", "reason": "test", "now": clock.now()}
    return replay(chosen or Range(first=1, last=2**62), **facts)  # type: ignore[arg-type]


def inward() -> list[str]:
    """The listeners that are run here."""
    return [name for name, entry in _registry.listeners.items() if not entry.outward]


def empty_ledger() -> None:
    """As after a loss: the suite's owner may truncate, nobody else can."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("TRUNCATE ledger.account, ledger.journal_entry, ledger.posting CASCADE")


def booked() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id, entry_type, kind, owner, account.currency, debit_minor, credit_minor"
            " FROM ledger.posting JOIN ledger.journal_entry AS entry ON entry.id = entry_id"
            " JOIN ledger.account ON account.id = account_id ORDER BY 1, 2, 3, 4, 6"
        )
        return list(cursor.fetchall())


class TestReplay:
    def test_of_the_whole_registry_to_every_listener_changes_no_row(self) -> None:
        lived()
        events, told, before = Event.objects.count(), told_by_operators(), business()
        assert all(len(rows) for name, rows in before.items() if name == "ledger.posting")
        for listener_id in inward():
            assert again(listener_id) > 0, listener_id
            drain()
            assert not Publication.objects.exists()
            assert business() == before, listener_id
        assert Event.objects.count() - events == told_by_operators() - told == len(inward())

    def test_fills_an_empty_projection(self) -> None:
        lived()
        before = booked()
        empty_ledger()
        assert again(LEDGER) > 0
        drain()
        assert booked() == before

    def test_would_show_a_listener_that_counts_without_keys(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paid_by(registered_merchant())
        before = business()
        events = _registry.listeners[LEDGER].events
        naive = _registry.Listener(LEDGER, events, _counts_again)
        monkeypatch.setitem(_registry.listeners, LEDGER, naive)
        again(LEDGER)
        drain()
        assert business() != before

    def test_of_one_story_gives_that_story_alone(self) -> None:
        merchant = registered_merchant()
        first, _ = paid_by(merchant), paid_by(merchant)
        story = Event.objects.filter(payload__payment_id=first).values_list("correlation_id")[0][0]
        assert (
            again("audit.record_event", Range(story=story))
            == Event.objects.filter(correlation_id=story).count()
        )
        waiting = Publication.objects.filter(listener_id="audit.record_event")
        assert set(
            waiting.exclude(event__event_type="Operator.Action.Taken").values_list(
                "correlation_id", flat=True
            )
        ) == {story}

    def test_of_a_time_begins_and_ends_there(self) -> None:
        paid_by(registered_merchant())
        middle = Event.objects.order_by("published_at")[2].published_at
        total = Event.objects.count()
        since = again("audit.record_event", Range(since=middle))
        until = again("audit.record_event", Range(until=middle, last=total_sequence(total)))
        assert (since, until) == (
            Event.objects.filter(published_at__gte=middle)
            .exclude(event_type="Operator.Action.Taken")
            .count(),
            Event.objects.filter(published_at__lt=middle).count(),
        )

    def test_leaves_alone_what_is_outstanding(self) -> None:
        paid_by(registered_merchant())
        assert again(LEDGER) == 1
        assert again(LEDGER) == 0

    def test_goes_through_any_number_of_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lived()
        expected = Event.objects.count()
        monkeypatch.setattr("shared.event_bus.replay.BATCH_SIZE", 7)
        assert again("audit.record_event") == expected
        told = Event.objects.filter(payload__action="shared.publication.replay")
        assert told.count() == -(-expected // 7)
        assert BATCH_SIZE > 7

    def test_refuses_a_listener_that_is_not_there(self) -> None:
        with pytest.raises(NoSuchListener, match=r"ledger\.post_movements"):
            again("ledger.post_movement")


def total_sequence(count: int) -> int:
    return list(Event.objects.order_by("sequence").values_list("sequence", flat=True))[count - 1]


def _counts_again(events: Sequence[DomainEvent]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger.account SET balance_minor = balance_minor + 1")
