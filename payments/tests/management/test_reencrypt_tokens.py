"""`manage.py reencrypt_tokens`: counts, and an exit code that a script can trust."""

import io

import pytest
from django.core.management import CommandError, call_command

from payments.models import Token
from payments.tests.cards import card
from payments.tests.conftest import NOW
from payments.use_cases.store_token import store_token
from shared import db
from shared.identifiers import new_id
from shared.testing.races import race

pytestmark = pytest.mark.django_db


def run(**options: int) -> str:
    written = io.StringIO()
    call_command("reencrypt_tokens", stdout=written, **options)
    return written.getvalue()


class TestReencryptTokens:
    def test_says_when_there_is_nothing_to_do(self) -> None:
        assert run() == "0 re-encrypted, 0 do not open.\n"

    def test_counts_what_it_did_in_batches(self) -> None:
        for _ in range(5):
            store_token(merchant_id=new_id(), card=card(), now=NOW)
        # As if the key had been called otherwise when they were fingerprinted.
        Token.objects.update(fingerprinted_under="before")
        assert run(batch_size=2).splitlines() == [
            "… 2",
            "… 4",
            "… 5",
            "5 re-encrypted, 0 do not open.",
        ]

    def test_fails_naming_what_does_not_open(self) -> None:
        tokens = [store_token(merchant_id=new_id(), card=card(), now=NOW) for _ in range(2)]
        Token.objects.update(fingerprinted_under="before")
        Token.objects.filter(pk=tokens[0].pk).update(sealed=b"gone|" + b"\0" * 60)
        with pytest.raises(CommandError, match=tokens[0].pk):
            run()
        assert Token.objects.get(pk=tokens[1].pk).fingerprinted_under != "before"

    def test_fails_when_something_is_in_use_until_it_is_free(self) -> None:
        token = store_token(merchant_id=new_id(), card=card(), now=NOW)
        Token.objects.update(fingerprinted_under="before")
        with db.transaction():
            Token.objects.select_for_update().get(pk=token.pk)
            with pytest.raises(CommandError, match="1 are in use"):
                race([run])
        assert run().endswith("1 re-encrypted, 0 do not open.\n")
