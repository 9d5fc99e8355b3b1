"""Burnt keys: claimed for nothing, so that no request can use them any more."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from shared import clock
from shared.models import IdempotencyRecord, KeyUsedElsewhere
from shared.testing.api import Written, payment_body, refused
from shared.testing.operators import OperatorClient, text
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

KEY = "key-001"


def burn(merchant: SigningClient, key: str = KEY) -> bool:
    return IdempotencyRecord.objects.burn(UUID(merchant.merchant_id), key)


class TestBurntKey:
    def test_is_refused_for_every_request_for_ever(self, merchant: SigningClient) -> None:
        assert burn(merchant)
        stored = IdempotencyRecord.objects.get()
        assert stored.expires_at - clock.now() > timedelta(days=365_000)
        before = Written.now()
        for path, body in (
            ("/payments", payment_body(idempotencyKey=KEY)),
            ("/merchants/keys/rotate", {"idempotencyKey": KEY}),
        ):
            refused(merchant.post(path, body), 409, "idempotency_key_cancelled")
        assert Written.now() == before

    def test_is_burnt_once_and_only_while_it_is_free(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        assert [burn(merchant), burn(merchant), burn(other)] == [True, False, True]
        merchant.post("/payments", payment_body(idempotencyKey="used"))
        assert not burn(merchant, "used")
        IdempotencyRecord.objects.expect_burnt(UUID(merchant.merchant_id), KEY)
        with pytest.raises(KeyUsedElsewhere):
            IdempotencyRecord.objects.expect_burnt(UUID(merchant.merchant_id), "used")

    def test_is_free_again_when_it_is_taken_back(self, merchant: SigningClient) -> None:
        merchant_id = UUID(merchant.merchant_id)
        burn(merchant)
        IdempotencyRecord.objects.unburn(merchant_id, KEY)
        assert merchant.post("/payments", payment_body(idempotencyKey=KEY)).status_code == 202
        IdempotencyRecord.objects.unburn(merchant_id, KEY)  # a request's record is nobody's to undo
        assert IdempotencyRecord.objects.count() == 1

    def test_is_never_shared_with_a_request_that_races_for_it(
        self, merchant: SigningClient
    ) -> None:
        for number in range(6):
            key = f"key-{number}"
            client = SigningClient(merchant.merchant_id, merchant.api_key)
            ask = partial(client.post, "/payments", payment_body(idempotencyKey=key))
            works: list[Callable[[], Any]] = [partial(burn, merchant, key), ask]
            burnt, answer = race(works)
            assert (burnt, answer.status_code) in {(True, 409), (False, 202)}

    def test_can_be_looked_at_by_an_operator(self, merchant: SigningClient) -> None:
        burn(merchant)
        assert merchant.merchant_id in text(OperatorClient().list(IdempotencyRecord))
