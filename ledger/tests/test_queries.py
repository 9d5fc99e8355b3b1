"""Reads of the books: journals, balances, and what cannot be."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connections

from ledger.domain.posting_rules import PLATFORM, AccountKey, AccountKind, EntryType, Side
from ledger.models import Account, JournalEntry
from ledger.queries import (
    Balance,
    ChartLine,
    JournalNotFound,
    find_imbalances,
    list_balances,
    list_chart,
    list_entries,
    list_journal,
    postings_of,
    trial_balance,
)
from ledger.tests.conftest import (
    ACME,
    NOW,
    PROCESSOR,
    Story,
    account,
    authorised,
    draft,
    post,
    tamper,
)
from ledger.use_cases.post_entries import post_entries
from shared.identifiers import new_id

pytestmark = pytest.mark.django_db

MERCHANT_ID = UUID(ACME)


class TestListJournal:
    def test_shows_a_storys_entries_with_their_postings(self) -> None:
        event = authorised()
        post(event, authorised())
        (entry,) = list_journal(merchant_id=MERCHANT_ID, correlation_id=UUID(event.correlation_id))
        assert (entry.entry_type, entry.amount_minor, entry.currency) == ("AUTH", 25_000, "USD")
        lines = [
            (str(line.account.key), line.debit_minor, line.credit_minor)
            for line in entry.postings.all()
        ]
        assert lines == [
            ("processor_pending:sandbox:USD", 25_000, 0),
            (f"merchant_pending:{ACME}:USD", 0, 25_000),
        ]

    def test_of_another_merchant_is_not_there(self) -> None:
        event = authorised()
        post(event)
        story = UUID(event.correlation_id)
        for merchant_id, correlation_id in ((new_id(), story), (MERCHANT_ID, new_id())):
            with pytest.raises(JournalNotFound):
                list_journal(merchant_id=merchant_id, correlation_id=correlation_id)
            assert not list_entries(merchant_id=merchant_id, correlation_id=correlation_id)


class TestListBalances:
    def test_shows_holds_and_what_may_be_paid_out_per_currency(self) -> None:
        taken = Story(amount_minor=100)
        post(
            authorised(amount_minor=5_000, currency="JPY"),
            authorised(),
            authorised(merchant_id=str(new_id())),
            *(taken.authorised(), taken.captured(60, released=40), taken.refunded(20)),
        )
        assert list_balances(MERCHANT_ID) == [Balance("JPY", 5_000), Balance("USD", 25_000, 40)]
        assert list_balances(new_id()) == []

    def test_counts_payouts_as_settled(self) -> None:
        # Nothing posts them yet, so this one is posted by hand.
        story = Story(amount_minor=100)
        post(story.authorised(), story.captured(100), authorised(currency="JPY"), now=NOW)
        later = NOW + timedelta(hours=1)
        pay_out(70, now=later)
        balances = [Balance("JPY", 25_000), Balance("USD", 0, 30, 70)]
        assert list_balances(MERCHANT_ID) == balances
        assert list_balances(MERCHANT_ID, as_of=later) == balances
        assert list_balances(MERCHANT_ID, as_of=NOW)[1] == Balance("USD", 0, 100, 0)

    def test_as_of_an_instant_counts_what_was_created_by_then(self) -> None:
        story, hour = Story(amount_minor=100), timedelta(hours=1)
        post(story.authorised(), now=NOW)
        post(story.captured(60, released=40), now=NOW + hour)
        microsecond = timedelta(microseconds=1)
        for as_of, balances in (
            (NOW - microsecond, []),
            (NOW, [Balance("USD", 100)]),
            (NOW + hour - microsecond, [Balance("USD", 100)]),
            (NOW + hour, [Balance("USD", 0, 60)]),
        ):
            assert list_balances(MERCHANT_ID, as_of=as_of) == balances
        assert list_balances(MERCHANT_ID, as_of=NOW + 9 * hour) == list_balances(MERCHANT_ID)


def pay_out(minor: int, *, now: datetime) -> None:
    payable = AccountKey(AccountKind.MERCHANT_PAYABLE, ACME, "USD")
    bank = AccountKey(AccountKind.BANK, PLATFORM, "USD")
    facts = {"entry_type": EntryType.PAYOUT, "merchant_id": MERCHANT_ID}
    post_entries(drafts=[draft(payable, bank, minor, **facts)], now=now)


class TestPostingsOf:
    def test_are_those_that_are_made_when_it_is_published(self) -> None:
        story = Story(amount_minor=100)
        post(story.authorised())
        event = story.captured(60, released=40)
        foreseen = [(line.account, line.side, line.amount_minor) for line in postings_of(event)]
        assert len(story.entries()) == 1
        post(event)
        made = [
            (
                posting.account.key,
                Side.DEBIT if posting.debit_minor else Side.CREDIT,
                posting.debit_minor or posting.credit_minor,
            )
            for entry in story.entries()[1:]
            for posting in entry.postings.order_by("pk")
        ]
        assert foreseen == made


class TestListChart:
    def test_sums_up_accounts_by_kind_and_currency(self) -> None:
        post(authorised(), authorised(merchant_id=str(new_id())), authorised(currency="JPY"))
        assert list_chart() == [
            ChartLine(AccountKind.MERCHANT_PENDING, "JPY", 1, -25_000),
            ChartLine(AccountKind.MERCHANT_PENDING, "USD", 2, -50_000),
            ChartLine(AccountKind.PROCESSOR_PENDING, "JPY", 1, 25_000),
            ChartLine(AccountKind.PROCESSOR_PENDING, "USD", 1, 50_000),
        ]


class TestFindImbalances:
    @pytest.fixture(autouse=True)
    def booked(self) -> None:
        post(authorised(), authorised(currency="JPY"))
        assert find_imbalances() == []

    def test_finds_a_balance_that_was_tampered_with(self) -> None:
        Account.objects.filter(pk=account(PROCESSOR).pk).update(balance_minor=25_001)
        by_what = {finding.what: finding for finding in find_imbalances()}
        assert set(by_what) == {"balance", "trial balance"}
        assert by_what["balance"].where == "PROCESSOR_PENDING:sandbox:USD"
        assert by_what["balance"].detail == "snapshot 25001, postings 25000"
        assert by_what["trial balance"].where == "USD"

    def test_finds_two_balances_that_hide_each_other(self) -> None:
        # The naive twin: the trial balance alone, which such a pair deceives.
        for found, change in zip(Account.objects.filter(currency="USD"), (5, -5), strict=True):
            Account.objects.filter(pk=found.pk).update(balance_minor=found.balance_minor + change)
        assert {total.difference_minor for total in trial_balance()} == {0}
        assert [finding.what for finding in find_imbalances()] == ["balance", "balance"]

    def test_finds_a_posting_that_was_changed(self) -> None:
        entry = JournalEntry.objects.get(currency="USD")
        tamper(
            "UPDATE ledger.posting SET debit_minor = 24_999 WHERE debit_minor > 0"
            f" AND entry_id = '{entry.pk}'",
            "posting",
        )
        by_what = {finding.what: finding for finding in find_imbalances()}
        assert by_what["entry"].where == str(entry.pk)
        assert by_what["entry"].detail == (
            "declares 2 postings of 25000, has 2: debits 24999, credits 25000"
        )
        assert "balance" in by_what

    def test_finds_an_entry_whose_postings_are_gone(self) -> None:
        tamper("DELETE FROM ledger.posting", "posting")
        details = [f.detail for f in find_imbalances() if f.what == "entry"]
        assert details == ["declares 2 postings of 25000, has 0: debits , credits "] * 2

    def test_finds_an_account_that_changed_its_currency(self) -> None:
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "UPDATE ledger.account SET currency = 'EUR'"
                " WHERE currency = 'USD' AND kind = 'MERCHANT_PENDING'"
            )
        found = {(finding.what, finding.where) for finding in find_imbalances()}
        assert {("trial balance", "EUR"), ("trial balance", "USD")} <= found

    def test_finds_a_hold_of_which_more_was_taken_than_it_held(self) -> None:
        entry = JournalEntry.objects.get(currency="USD")
        story = Story(correlation_id=str(entry.correlation_id))
        post(story.captured(60, released=24_940))
        assert find_imbalances() == []
        tamper(
            "UPDATE ledger.journal_entry SET amount_minor = 61 WHERE amount_minor = 60",
            "journal_entry",
        )
        assert self.holds() == ["holds 25000 USD, captured 61, released 24940 in 1"]

    def test_finds_a_hold_that_was_released_and_not_whole(self) -> None:
        entry = JournalEntry.objects.get(currency="USD")
        story = Story(correlation_id=str(entry.correlation_id))
        post(story.captured(60))
        assert find_imbalances() == []
        post(story.voided(24_939))
        assert self.holds() == ["holds 25000 USD, captured 60, released 24939 in 1"]

    def holds(self) -> list[str]:
        return [finding.detail for finding in find_imbalances() if finding.what == "hold"]
