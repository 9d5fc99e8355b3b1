"""What the module reacts to: once, in order, and without taking others along."""

from typing import get_args

import pytest

from ledger.domain.posting_rules import MovementOfMoney
from ledger.models import Account, JournalEntry, Posting
from ledger.queries import find_imbalances
from ledger.tests.conftest import Story
from shared.event_bus import drain
from shared.models import Event
from shared.testing.events import failed, publish_again, publish_committed, told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

LISTENER = "ledger.post_movements"
LIFE = ["AUTH", "CAPTURE", "CAPTURE", "RELEASE", "REFUND"]


def rows() -> list[object]:
    """Everything the module owns, and the number of events."""
    tables = [list(model._default_manager.values()) for model in (Account, JournalEntry, Posting)]
    return [*tables, Event.objects.count()]


class TestOnMoneyMoved:
    def test_books_a_life_in_its_order(self) -> None:
        # All published before anything is booked: a capture must not come before its hold.
        stories = [Story() for _ in range(5)]
        for step in zip(*(story.whole_life() for story in stories), strict=True):
            publish_committed(*step)
        drain()
        for story in stories:
            assert [entry.entry_type for entry in story.entries()] == LIFE
        assert find_imbalances() == []

    def test_books_every_kind_of_event(self) -> None:
        voided, expired = Story(amount_minor=100), Story(amount_minor=100)
        events = [
            *Story().whole_life(),
            voided.authorised(),
            voided.voided(100),
            expired.authorised(),
            expired.expired(100),
        ]
        publish_committed(*events)
        drain()
        assert {type(event) for event in events} == set(get_args(MovementOfMoney))
        assert JournalEntry.objects.count() == len(events) + 1
        assert failed(LISTENER) == []

    def test_takes_every_event_once_though_two_bring_all_of_them_again(self) -> None:
        publish_committed(*(event for _ in range(3) for event in Story().whole_life()))
        drain()
        before = rows()
        for event in get_args(MovementOfMoney):
            publish_again(LISTENER, event.event_type)
        race([drain] * 2)
        drain()
        assert rows() == before
        assert len(told("Ledger.Entry.Posted")) == 3 * len(LIFE)

    def test_takes_the_rest_of_a_batch_without_the_poison(self) -> None:
        good, nothing, too_much = [Story() for _ in range(3)], Story(amount_minor=0), Story()
        publish_committed(*(story.authorised() for story in (*good, too_much)))
        drain()
        publish_committed(
            good[0].captured(60),
            nothing.authorised(),
            good[1].voided(25_000),
            too_much.captured(25_001),
            good[2].expired(25_000),
        )
        drain()
        ends = [story.entries()[-1].entry_type for story in good]
        assert ends == ["CAPTURE", "VOID", "EXPIRY"]
        poison = {story.correlation_id for story in (nothing, too_much)}
        assert set(failed(LISTENER)) == poison
        assert find_imbalances() == []
