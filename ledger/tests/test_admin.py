"""The books in the admin, and the form by which two people correct them."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from ledger.models import Account, Adjustment, JournalEntry, Posting
from ledger.queries import trial_balance
from ledger.tests.conftest import ACME, Story, authorised, post
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
    post(authorised(amount_minor=1_500, currency="JPY"))
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


@pytest.fixture
def adjustment(operator: OperatorClient) -> Adjustment:
    """One that olga has proposed."""
    story = Story(amount_minor=100)
    post(story.authorised(), story.captured(100))
    answer = operator.add(Adjustment, **proposal())
    assert answer.status_code == 302, text(answer)
    return Adjustment.objects.get()


def proposal(**changes: str) -> dict[str, str]:
    return {
        "debit_kind": "MERCHANT_PAYABLE",
        "debit_owner": ACME,
        "credit_kind": "PLATFORM_FEES",
        "credit_owner": "",
        "amount": "0.30",
        "currency": "USD",
        "correlation_id": "",
        "reason": "a fee that was forgotten",
    } | changes


class TestAdjustments:
    @pytest.fixture
    def colleague(self) -> OperatorClient:
        return OperatorClient(User.objects.create_superuser("ben"))

    def test_are_proposed_by_a_form(self, adjustment: Adjustment) -> None:
        assert (adjustment.proposed_by, adjustment.amount_minor) == ("olga", 30)
        assert str(adjustment.correction.credit) == "platform_fees:platform:USD"
        assert not JournalEntry.objects.filter(entry_type="ADJUSTMENT").exists()

    def test_are_posted_when_a_colleague_confirms(
        self, adjustment: Adjustment, operator: OperatorClient, colleague: OperatorClient
    ) -> None:
        assert "somebody else must look" in operator.act("confirm", adjustment)
        assert "Confirm: 1 adjustment." in colleague.act("confirm", adjustment, reason="agreed")
        assert JournalEntry.objects.get(entry_type="ADJUSTMENT").amount_minor == 30
        assert "confirmed or rejected before" in colleague.act("reject", adjustment)

    def test_are_rejected(self, adjustment: Adjustment, colleague: OperatorClient) -> None:
        assert "Reject: 1 adjustment." in colleague.act("reject", adjustment, reason="no")
        adjustment.refresh_from_db()
        assert (adjustment.state, adjustment.decided_by) == ("REJECTED", "ben")

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"amount": "0.001"}, "USD has 2 decimals"),
            ({"amount": "1e2"}, "decimal string"),
            ({"currency": "XYZ"}, "Not an ISO 4217 code"),
            ({"currency": ""}, "This field is required"),
            ({"debit_kind": ""}, "This field is required"),
            ({"debit_owner": "nobody"}, "Nothing was ever posted"),
            ({"debit_kind": "PLATFORM_FEES", "debit_owner": ""}, "from one account to another"),
            ({"reason": ""}, "Say why"),
            ({"reason": "for 4242424242424242"}, "card number"),
            ({"correlation_id": "x"}, "valid UUID"),
            ({"debit_owner": "nul\0nul"}, "Null characters"),
        ],
    )
    def test_say_what_is_wrong(
        self, adjustment: Adjustment, operator: OperatorClient, changes: Any, told: str
    ) -> None:
        answer = operator.add(Adjustment, **proposal(**changes))
        if answer.status_code == 302:
            answer = operator.client.get(answer.headers["Location"])
        assert told in text(answer)
        assert Adjustment.objects.count() == 1

    def test_are_shown_and_not_changed(
        self, adjustment: Adjustment, operator: OperatorClient
    ) -> None:
        page = text(operator.page(adjustment))
        assert "0.30 USD" in page
        assert 'name="_save"' not in page
        assert operator.save(adjustment, **proposal(amount="99.00")).status_code == 403
        assert "0.30 USD" in text(operator.list(Adjustment, state="OPEN"))
        withstands_hostile_terms(operator, Adjustment)

    def test_are_not_for_those_who_may_only_view(self, adjustment: Adjustment) -> None:
        viewer = OperatorClient.who_may_only_view()
        assert viewer.add(Adjustment, **proposal()).status_code == 403
        viewer.act("confirm", adjustment)
        adjustment.refresh_from_db()
        assert adjustment.is_open
