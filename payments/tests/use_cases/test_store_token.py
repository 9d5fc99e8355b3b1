"""Storing: one token for one card or wallet, and nothing when it is refused."""

import pytest

from payments.models import Token
from payments.tests.cards import card
from payments.tests.conftest import NOW
from payments.use_cases.show_token import show_token
from payments.use_cases.store_token import store_token
from payments.vault import CardInvalid
from shared.identifiers import new_id

pytestmark = pytest.mark.django_db


class TestStoreToken:
    def test_stores_a_card_or_a_wallet(self) -> None:
        merchant_id = new_id()
        visa = store_token(merchant_id=merchant_id, card=card(), now=NOW)
        account = {"provider": "paywave", "walletId": "7"}
        wallet = store_token(merchant_id=merchant_id, wallet=account, now=NOW)
        for token in (visa, wallet):
            assert show_token(merchant_id=merchant_id, token=token.pk) == token
        assert (visa.brand, wallet.wallet_provider) == ("visa", "paywave")

    def test_stores_nothing_that_it_refuses(self) -> None:
        with pytest.raises(CardInvalid):
            store_token(merchant_id=new_id(), card=card("4111111111111112"), now=NOW)
        assert not Token.objects.exists()
