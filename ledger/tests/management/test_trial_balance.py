"""`manage.py trial_balance`: the chart with balances, and whether it balances."""

import io

import pytest
from django.core.management import CommandError, call_command

from ledger.models import Account
from ledger.tests.conftest import Story, authorised, post

pytestmark = pytest.mark.django_db


def printed() -> list[list[str]]:
    out = io.StringIO()
    call_command("trial_balance", stdout=out)
    return [line.split() for line in out.getvalue().splitlines()]


class TestTrialBalance:
    def test_says_that_there_is_nothing(self) -> None:
        assert printed()[1:] == [["Nothing", "is", "posted", "yet."]]

    def test_prints_the_chart_and_the_differences(self) -> None:
        story = Story(amount_minor=100)
        post(story.authorised(), authorised(currency="JPY", amount_minor=5))
        post(story.captured(60))
        assert printed() == [
            ["account", "accounts", "debit", "credit"],
            ["merchant_payable", "1", "0.60", "USD"],
            ["merchant_pending", "1", "5", "JPY"],
            ["merchant_pending", "1", "0.40", "USD"],
            ["processor_pending", "1", "5", "JPY"],
            ["processor_pending", "1", "0.40", "USD"],
            ["processor_receivable", "1", "0.60", "USD"],
            ["debits", "-", "credits", "=", "0", "JPY"],
            ["debits", "-", "credits", "=", "0.00", "USD"],
        ]

    def test_exits_with_1_when_they_differ(self) -> None:
        post(authorised())
        Account.objects.filter(balance_minor__gt=0).update(balance_minor=1)
        with pytest.raises(CommandError) as told:
            printed()
        assert told.value.returncode == 1
