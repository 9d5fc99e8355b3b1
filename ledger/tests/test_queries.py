"""Reads of the books: journals, balances, and what cannot be."""

from uuid import UUID

import pytest
from django.db import connections

from ledger.models import Account, JournalEntry
from ledger.queries import (
    Balance,
    JournalNotFound,
    find_imbalances,
    list_balances,
    list_entries,
    list_journal,
    trial_balance,
)
from ledger.tests.conftest import ACME, PROCESSOR, account, authorised, post, tamper
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
    def test_shows_open_holds_per_currency(self) -> None:
        post(
            authorised(),
            authorised(amount_minor=1),
            authorised(amount_minor=5_000, currency="JPY"),
            authorised(merchant_id=str(new_id())),
        )
        assert list_balances(MERCHANT_ID) == [Balance("JPY", 5_000), Balance("USD", 25_001)]
        assert list_balances(new_id()) == []


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
