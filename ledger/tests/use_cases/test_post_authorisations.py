"""Posting holds: once per event, balanced, told; and a worked story in figures."""

from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger.models import JournalEntry
from ledger.queries import find_imbalances, trial_balance
from ledger.tests.conftest import ACME, NOW, authorised, balances, post
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

POSTED = "Ledger.Entry.Posted"


class TestPostAuthorisations:
    def test_posts_the_hold_and_tells_of_it(self) -> None:
        event = authorised()
        post(event)
        entry = JournalEntry.objects.get()
        assert (str(entry.event_id), entry.created_at) == (event.event_id, NOW)
        assert (entry.postings_count, entry.total_minor) == (2, 25_000)
        assert told(POSTED) == [
            {
                "entry_id": str(entry.pk),
                "entry_type": "AUTH",
                "amount_minor": 25_000,
                "currency": "USD",
            }
        ]
        published = Event.objects.get(event_type=POSTED)
        assert str(published.correlation_id) == event.correlation_id
        assert str(published.merchant_id) == ACME

    def test_leaves_alone_what_was_posted_before(self) -> None:
        first, second = authorised(), authorised()
        for batch in ([first], [first, second], [second, first]):
            post(*batch)
        assert JournalEntry.objects.count() == len(told(POSTED)) == 2
        assert find_imbalances() == []

    def test_delivered_twice_at_once_posts_once(self) -> None:
        events = [authorised() for _ in range(10)]
        race([lambda: post(*events)] * 4)
        assert JournalEntry.objects.count() == len(told(POSTED)) == 10
        assert find_imbalances() == []

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            events = [authorised() for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                post(*events)
            return len(queries)

        statements(1)
        assert statements(100) == statements(1)


class TestStory:
    """Two merchants, two processors, two currencies: what the books say after each line."""

    def test_of_a_mornings_holds(self) -> None:
        acme, bert = str(new_id()), str(new_id())

        post(authorised(merchant_id=acme, amount_minor=25_000))
        assert balances() == {
            "processor_pending:sandbox:USD": 25_000,
            f"merchant_pending:{acme}:USD": -25_000,
        }

        post(
            authorised(merchant_id=acme, amount_minor=1),
            authorised(merchant_id=bert, amount_minor=9_999),
        )
        assert balances() == {
            "processor_pending:sandbox:USD": 35_000,
            f"merchant_pending:{acme}:USD": -25_001,
            f"merchant_pending:{bert}:USD": -9_999,
        }

        post(
            authorised(merchant_id=bert, amount_minor=5_000, currency="JPY", processor="second"),
            authorised(merchant_id=bert, amount_minor=5_000, currency="JPY", processor="second"),
        )
        assert balances() == {
            "processor_pending:sandbox:USD": 35_000,
            "processor_pending:second:JPY": 10_000,
            f"merchant_pending:{acme}:USD": -25_001,
            f"merchant_pending:{bert}:USD": -9_999,
            f"merchant_pending:{bert}:JPY": -10_000,
        }
        assert [(t.currency, t.difference_minor) for t in trial_balance()] == [
            ("JPY", 0),
            ("USD", 0),
        ]
        per_currency = Counter(JournalEntry.objects.values_list("currency", flat=True))
        assert per_currency == {"USD": 3, "JPY": 2}
        assert find_imbalances() == []
