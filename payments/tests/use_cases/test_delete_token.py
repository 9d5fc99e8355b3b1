"""Deleting: the ciphertext goes for ever, the row stays."""

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.models import Token
from payments.models.token import TokenNotFound
from payments.tests.cards import card
from payments.tests.conftest import NOW, payment_in
from payments.use_cases.delete_token import delete_token
from payments.use_cases.look_up_token import look_up_token
from payments.use_cases.show_token import show_token
from payments.use_cases.store_token import store_token
from payments.vault import UnknownToken, instruments_of
from shared.identifiers import new_id
from shared.testing.races import race

pytestmark = pytest.mark.django_db

ACME = new_id()


@pytest.fixture
def token() -> Token:
    return store_token(merchant_id=ACME, card=card(), now=NOW)


def deleted(token: Token) -> bool:
    try:
        delete_token(merchant_id=ACME, token=token.pk, now=NOW)
    except TokenNotFound:
        return False
    return True


class TestDeleteToken:
    def test_wipes_the_ciphertext_and_keeps_the_row(self, token: Token) -> None:
        assert deleted(token)
        token.refresh_from_db()
        assert (token.sealed, token.deleted_at, token.last4) == (None, NOW, "1111")

    def test_leaves_nothing_to_show_or_pay_with(self, token: Token) -> None:
        payment = payment_in(PaymentStatus.PENDING, merchant_id=ACME, method_token=token.pk)
        assert look_up_token(merchant_id=ACME, method_type="CARD", token=token.pk)
        assert deleted(token)
        with pytest.raises(TokenNotFound):
            show_token(merchant_id=ACME, token=token.pk)
        with pytest.raises(UnknownToken):
            look_up_token(merchant_id=ACME, method_type="CARD", token=token.pk)
        assert instruments_of([payment]) == {}

    def test_happens_once_however_many_try(self, token: Token) -> None:
        assert sorted(race([lambda: deleted(token)] * 8)) == [False] * 7 + [True]

    @pytest.mark.parametrize("unknown", ["tok_" + "a" * 32, "tok_test", "", "tok_\0", "x" * 10_000])
    def test_refuses_what_the_merchant_does_not_have(self, token: Token, unknown: str) -> None:
        for merchant_id, name in ((ACME, unknown), (new_id(), token.pk)):
            with pytest.raises(TokenNotFound):
                delete_token(merchant_id=merchant_id, token=name, now=NOW)
        assert deleted(token)
