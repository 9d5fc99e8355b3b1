"""`manage.py verify_ledger`: silent about good books, loud about bad ones."""

import io

import pytest
from django.core.management import CommandError, call_command

from ledger.models import Account
from ledger.tests.conftest import authorised, post

pytestmark = pytest.mark.django_db


class TestVerifyLedger:
    @pytest.mark.parametrize("is_empty", [True, False])
    def test_says_that_the_books_balance(self, is_empty: bool) -> None:
        if not is_empty:
            post(authorised(), authorised(currency="JPY"))
        out = io.StringIO()
        call_command("verify_ledger", stdout=out)
        assert out.getvalue() == "The ledger balances.\n"

    def test_exits_with_1_and_names_what_cannot_be(self) -> None:
        post(authorised())
        Account.objects.filter(balance_minor__gt=0).update(balance_minor=1)
        with pytest.raises(CommandError) as told:
            call_command("verify_ledger")
        assert told.value.returncode == 1
        assert "balance PROCESSOR_PENDING:sandbox:USD: snapshot 1, postings 25000" in str(
            told.value
        )
        assert "trial balance USD: debits minus credits -24999" in str(told.value)
