"""Booking what moved money: once per event, balanced, told, and by many at once (M2, M9)."""

from collections import Counter
from functools import partial
from uuid import UUID

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from ledger.models import JournalEntry
from ledger.queries import Balance, find_imbalances, list_balances
from ledger.tests.conftest import ACME, NOW, Story, balances, post
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

POSTED = "Ledger.Entry.Posted"
LIFE = ["AUTH", "CAPTURE", "CAPTURE", "RELEASE", "REFUND"]


class TestPostMovements:
    def test_posts_what_moved_and_tells_of_it(self) -> None:
        story = Story()
        event = story.captured(60, released=40)
        post(story.authorised())
        post(event)
        capture, release = story.entries()[1:]
        assert str(capture.event_id) == str(release.event_id) == event.event_id
        assert (capture.entry_type, capture.amount_minor) == ("CAPTURE", 60)
        assert (capture.postings_count, capture.total_minor) == (4, 120)
        assert (release.entry_type, release.amount_minor) == ("RELEASE", 40)
        assert {capture.created_at, release.created_at} == {NOW}
        assert told(POSTED)[1:] == [
            {
                "entry_id": str(entry.pk),
                "entry_type": entry.entry_type,
                "amount_minor": entry.amount_minor,
                "currency": "USD",
            }
            for entry in (capture, release)
        ]
        published = Event.objects.filter(event_type=POSTED)
        assert {str(row.correlation_id) for row in published} == {story.correlation_id}
        assert {str(row.merchant_id) for row in published} == {ACME}

    def test_leaves_alone_what_was_posted_before(self) -> None:
        first, second = Story().whole_life(), Story().whole_life()
        for events in (first, second, first, second):
            for event in events:
                post(event)
        post(*first, *second)
        assert JournalEntry.objects.count() == len(told(POSTED)) == 2 * len(LIFE)
        assert list_balances(UUID(ACME)) == [Balance("USD", 0, 140, 0)]
        assert find_imbalances() == []

    def test_takes_a_whole_life_in_one_batch(self) -> None:
        post(*Story().whole_life())
        assert Counter(JournalEntry.objects.values_list("entry_type", flat=True)) == Counter(LIFE)

    def test_every_event_delivered_twice_at_once_is_posted_once(self) -> None:
        # M9: four workers bring the same batches in the same order, all at the same moment.
        lives = [Story().whole_life() for _ in range(10)]

        def deliver() -> None:
            for batch in zip(*lives, strict=True):
                post(*batch)

        race([deliver] * 4)

        entries = JournalEntry.objects.values_list("event_id", "entry_type")
        assert len(set(entries)) == len(entries) == len(told(POSTED)) == 10 * len(LIFE)
        assert list_balances(UUID(ACME)) == [Balance("USD", 0, 700, 0)]
        assert find_imbalances() == []

    def test_posts_nothing_of_a_batch_with_something_impossible(self) -> None:
        good, poison = Story(), Story()
        post(good.authorised(), poison.authorised())
        before = balances()
        with pytest.raises(IntegrityError):
            post(good.captured(60), poison.captured(25_001))
        assert balances() == before
        assert JournalEntry.objects.count() == 2

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            lives = [Story(merchant_id=str(new_id())).whole_life() for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                post(*(event for life in lives for event in life))
            return len(queries)

        assert statements(50) == statements(1)


class TestConcurrentMovements:
    """M2: sixteen threads take and give back, two merchants in opposite orders."""

    THREADS, ROUNDS = 16, 5

    def test_neither_deadlock_nor_lose_anything(self) -> None:
        acme, bert = (Story(merchant_id=str(new_id()), amount_minor=10_000) for _ in range(2))
        post(acme.authorised(), bert.authorised())
        post(acme.captured(5_000), bert.captured(5_000))

        def take(*stories: Story) -> None:
            for _ in range(self.ROUNDS):
                post(*(story.captured(10) for story in stories))

        def give_back(*stories: Story) -> None:
            for _ in range(self.ROUNDS):
                post(*(story.refunded(7) for story in stories))

        works = [
            partial(work, *stories)
            for work in (take, give_back)
            for stories in ((acme, bert), (bert, acme))
        ]
        race(works * (self.THREADS // len(works)))

        times = self.THREADS // 2 * self.ROUNDS
        captured, refunded = 5_000 + times * 10, times * 7
        for story in (acme, bert):
            assert list_balances(UUID(story.merchant_id)) == [
                Balance("USD", 10_000 - captured, captured - refunded, 0)
            ]
        assert balances()["processor_receivable:sandbox:USD"] == 2 * (captured - refunded)
        assert find_imbalances() == []
