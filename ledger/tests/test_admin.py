"""The books in the admin."""

import pytest

from ledger.models import Account, JournalEntry, Posting
from ledger.queries import trial_balance
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def entry() -> JournalEntry:
    registered_merchant().post("/payments", payment_body(amount="1500", currency="JPY"))
    drain()
    return JournalEntry.objects.get()


class TestBooks:
    def test_show_amounts_in_their_currency(
        self, operator: OperatorClient, entry: JournalEntry
    ) -> None:
        page = text(operator.page(entry))
        assert "1500 JPY" in page
        assert "processor_pending" in page
        accounts = text(operator.list(Account))
        assert "-1500 JPY" in accounts
        assert "1500 JPY" in text(operator.list(Posting))
        posting = Posting.objects.first()
        assert posting is not None
        assert "JPY" in text(operator.page(posting))

    def test_are_found_by_owner_and_story(
        self, operator: OperatorClient, entry: JournalEntry
    ) -> None:
        for model, count in ((JournalEntry, 1), (Posting, 2)):
            found = operator.list(model, q=str(entry.correlation_id))
            assert found.context["cl"].result_count == count
        by_owner = operator.list(Account, q=str(entry.merchant_id))
        assert by_owner.context["cl"].result_count == 1

    def test_withstand_and_refuse(self, operator: OperatorClient, entry: JournalEntry) -> None:
        for model in (Account, JournalEntry, Posting):
            withstands_hostile_terms(operator, model)
            row = model._default_manager.first()
            assert row is not None
            refuses_changes(operator, row)


class TestTrialBalance:
    def test_is_zero_per_currency(self, entry: JournalEntry) -> None:
        assert [(total.currency, total.difference_minor) for total in trial_balance()] == [
            ("JPY", 0)
        ]

    def test_tells_an_imbalance(self, entry: JournalEntry) -> None:
        Account.objects.filter(balance_minor__gt=0).update(balance_minor=1501)
        assert [total.difference_minor for total in trial_balance()] == [1]
