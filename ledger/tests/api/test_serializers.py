"""What the module's endpoints give."""

import pytest

from ledger.api.serializers import balance_resource, entry_resource, posting_resources
from ledger.queries import Balance
from ledger.tests.conftest import ACME, Story, post


class TestBalanceResource:
    def test_shows_major_units_of_the_currency(self) -> None:
        assert balance_resource(Balance("USD", 25_000, -1, 5)) == {
            "currency": "USD",
            "pending": "250.00",
            "available": "-0.01",
            "settled": "0.05",
        }
        assert balance_resource(Balance("JPY", 25_000))["pending"] == "25000"


@pytest.mark.django_db
class TestPostingResources:
    def test_foresee_what_the_journal_will_show(self) -> None:
        story = Story(amount_minor=100)
        post(story.authorised())
        event = story.captured(60, released=40)
        foreseen = posting_resources(event)
        assert foreseen == [
            {"account": "processor_receivable:sandbox:USD", "debit": "0.60"},
            {"account": f"merchant_pending:{ACME}:USD", "debit": "0.60"},
            {"account": f"merchant_payable:{ACME}:USD", "credit": "0.60"},
            {"account": "processor_pending:sandbox:USD", "credit": "0.60"},
            {"account": f"merchant_pending:{ACME}:USD", "debit": "0.40"},
            {"account": "processor_pending:sandbox:USD", "credit": "0.40"},
        ]
        post(event)
        shown = [entry_resource(entry) for entry in story.entries()[1:]]
        assert [posting for entry in shown for posting in entry["postings"]] == foreseen
