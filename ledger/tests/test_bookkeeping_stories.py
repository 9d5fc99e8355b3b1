"""
Worked bookkeeping: a payment's life, line by line, as an accountant would write it down.

Each line is: what happened | the entries it is booked as | the balances (debits minus credits) of
processor pending, processor receivable, merchant pending, merchant payable | pending and available
as the merchant sees them. All figures are minor units.
"""

from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from ledger.domain.posting_rules import EntryType, MovementOfMoney
from ledger.models import JournalEntry
from ledger.queries import Balance, find_imbalances, list_balances, trial_balance
from ledger.tests.conftest import ACME, NOW, Story, balances, post
from shared.testing.refusals import violated

pytestmark = pytest.mark.django_db

STORIES = {
    "capture a part for good, refund a part": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 60, release 40 | CAPTURE RELEASE |   0  60     0  -60 |   0  60
      refund 20              | REFUND          |   0  40     0  -40 |   0  40
    """,
    "capture everything": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 100            | CAPTURE         |   0 100     0 -100 |   0 100
    """,
    "capture in several parts": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 30             | CAPTURE         |  70  30   -70  -30 |  70  30
      capture 20             | CAPTURE         |  50  50   -50  -50 |  50  50
      capture 45, release 5  | CAPTURE RELEASE |   0  95     0  -95 |   0  95
    """,
    "void": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      void 100               | VOID            |   0   0     0    0 |   0   0
    """,
    "void what captures left": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 25             | CAPTURE         |  75  25   -75  -25 |  75  25
      void 75                | VOID            |   0  25     0  -25 |   0  25
    """,
    "expire": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      expire 100             | EXPIRY          |   0   0     0    0 |   0   0
    """,
    "expire what captures left, then refund it all": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 99             | CAPTURE         |   1  99    -1  -99 |   1  99
      expire 1               | EXPIRY          |   0  99     0  -99 |   0  99
      refund 99              | REFUND          |   0   0     0    0 |   0   0
    """,
    "refund in many parts, some before the last capture": """
      authorise 100          | AUTH            | 100   0  -100    0 | 100   0
      capture 50             | CAPTURE         |  50  50   -50  -50 |  50  50
      refund 1               | REFUND          |  50  49   -50  -49 |  50  49
      refund 48              | REFUND          |  50   1   -50   -1 |  50   1
      capture 50             | CAPTURE         |   0  51     0  -51 |   0  51
      refund 26              | REFUND          |   0  25     0  -25 |   0  25
      refund 25              | REFUND          |   0   0     0    0 |   0   0
    """,
}  # fmt: skip
IMPOSSIBLE = {
    "capture more than was held": ("authorise 100, capture 60", "capture 41"),
    "release more than was left": ("authorise 100, capture 60", "void 41"),
    "capture what was voided": ("authorise 100, void 100", "capture 1"),
    "capture what expired": ("authorise 100, expire 100", "capture 100"),
    "capture what nobody authorised": ("", "capture 1"),
    "void twice": ("authorise 100, void 100", "void 100"),
    "void, then expire": ("authorise 100, void 100", "expire 100"),
    "expire after the final capture": ("authorise 100, capture 60, release 40", "expire 40"),
}


def told(story: Story, text: str) -> list[MovementOfMoney]:
    """The events that a text tells: a release belongs to the capture before it."""
    words = [step.split() for step in text.split(", ") if step]
    steps = [(verb, int(minor)) for verb, minor in words]
    events: list[MovementOfMoney] = []
    for (verb, minor), (following, rest) in pairwise([*steps, ("", 0)]):
        released = rest if following == "release" else 0
        match verb:
            case "authorise":
                story.amount_minor = minor
                events.append(story.authorised())
            case "capture":
                events.append(story.captured(minor, released=released))
            case "void":
                events.append(story.voided(minor))
            case "expire":
                events.append(story.expired(minor))
            case "refund":
                events.append(story.refunded(minor))
    return events


def accounts(story: Story) -> list[int]:
    """The four balances, in the order of the table."""
    found, currency = balances(), story.currency
    keys = (
        f"processor_pending:sandbox:{currency}",
        f"processor_receivable:sandbox:{currency}",
        f"merchant_pending:{ACME}:{currency}",
        f"merchant_payable:{ACME}:{currency}",
    )
    assert set(found) <= set(keys)
    return [found.get(key, 0) for key in keys]


@pytest.mark.parametrize("currency", ["USD", "JPY"])
@pytest.mark.parametrize("table", STORIES.values(), ids=STORIES)
class TestStory:
    def test_is_booked_as_written_down(self, table: str, currency: str) -> None:
        story, instant = Story(currency=currency), NOW
        seen: list[Balance] = []
        for row in table.strip().splitlines():
            happened, entries, books, merchant = (cell.strip() for cell in row.split("|"))
            instant += timedelta(minutes=1)
            (event,) = told(story, happened)
            post(event, now=instant)

            posted = [e.entry_type for e in story.entries() if e.created_at == instant]
            assert posted == entries.split(), row
            assert accounts(story) == [int(figure) for figure in books.split()], row
            pending, available = map(int, merchant.split())
            seen.append(Balance(currency, pending, available, 0))
            assert list_balances(UUID(ACME)) == seen[-1:], row
            assert [total.difference_minor for total in trial_balance()] == [0], row
            assert find_imbalances() == [], row
            self.balance_of_the_payment_is(available)

        for minutes, balance in enumerate(seen, start=1):
            as_of = NOW + timedelta(minutes=minutes)
            assert list_balances(UUID(ACME), as_of=as_of) == [balance]
        assert list_balances(UUID(ACME), as_of=NOW) == []

    def balance_of_the_payment_is(self, expected_minor: int) -> None:
        """Captured minus refunded, which with one payment is what its merchant may have."""
        sums = dict.fromkeys(EntryType, 0)
        for entry in JournalEntry.objects.all():
            sums[EntryType(entry.entry_type)] += entry.amount_minor
        assert sums[EntryType.CAPTURE] - sums[EntryType.REFUND] == expected_minor


@pytest.mark.parametrize(("before", "impossible"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
class TestImpossibleStory:
    def test_is_refused_by_the_database(self, before: str, impossible: str) -> None:
        story = Story()
        for event in told(story, before):
            post(event)
        books = accounts(story)
        (event,) = told(story, impossible)
        assert violated(lambda: post(event)) in (
            "journal_entry_within_its_hold",
            "journal_entry_one_release_per_hold",
        )
        assert accounts(story) == books
        assert find_imbalances() == []


class TestManyMerchants:
    """Two merchants, two processors, two currencies in the same batches."""

    def test_never_mix(self) -> None:
        yen = Story(currency="JPY", amount_minor=5_000, processor="second")
        bert = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b77"
        berts = Story(merchant_id=bert, amount_minor=9_999)
        acmes = Story(amount_minor=100)
        post(yen.authorised(), berts.authorised(), acmes.authorised())
        post(yen.captured(4_000, released=1_000), berts.voided(9_999), acmes.captured(60))
        post(yen.refunded(1_500), acmes.expired(40))
        assert {key: minor for key, minor in balances().items() if minor} == {
            "processor_receivable:second:JPY": 2_500,
            f"merchant_payable:{ACME}:JPY": -2_500,
            "processor_receivable:sandbox:USD": 60,
            f"merchant_payable:{ACME}:USD": -60,
        }
        assert list_balances(UUID(ACME)) == [Balance("JPY", 0, 2_500), Balance("USD", 0, 60)]
        assert list_balances(UUID(bert)) == [Balance("USD", 0, 0)]
        assert find_imbalances() == []
