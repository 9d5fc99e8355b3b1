"""`/tokens` over HTTP: cards go in, tokens come out, and nobody is told a number."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from payments.models import Token
from payments.tests.cards import MASTERCARD, VISA, card
from shared.testing.api import problem_in, refused, send_v2
from shared.testing.races import race
from shared.testing.signing import JSON, SigningClient

pytestmark = pytest.mark.django_db


def card_body(number: str = VISA, **changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": f"key-{uuid4()}",
        "type": "CARD",
        "card": card(number, cvc="123", holder="Ada Lovelace") | changes,
    }


def wallet_body(**changes: Any) -> dict[str, Any]:
    return {
        "idempotencyKey": f"key-{uuid4()}",
        "type": "WALLET",
        "wallet": {"provider": "paywave", "walletId": "7"} | changes,
    }


def tokenised(merchant: SigningClient, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = merchant.post("/tokens", body or card_body())
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


class TestPostTokens:
    def test_gives_a_token_for_a_card(self, merchant: SigningClient) -> None:
        told = tokenised(merchant, card_body(MASTERCARD, expMonth=2, expYear=2031))
        token, fingerprint = told.pop("token"), told.pop("fingerprint")
        assert told == {
            "type": "CARD",
            "brand": "mastercard",
            "last4": "4444",
            "expMonth": 2,
            "expYear": 2031,
        }
        assert (token[:4], len(token), len(fingerprint)) == ("tok_", 36, 64)

    def test_gives_a_token_for_a_wallet(self, merchant: SigningClient) -> None:
        assert tokenised(merchant, wallet_body()).keys() == {"token", "type", "fingerprint"}

    def test_gives_one_fingerprint_per_merchant_and_card(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        found = [tokenised(who)["fingerprint"] for who in (merchant, merchant, other)]
        assert found[0] == found[1] != found[2]

    @pytest.mark.parametrize(
        "change",
        [
            {"number": "4111111111111112"},
            {"number": "4111 1111 1111 1111"},
            {"number": "123"},
            {"expMonth": 13},
            {"expYear": 2020},
            {"expYear": 10**30},
            {"cvc": "12"},
            {"cvc": "abcd"},
        ],
    )
    def test_refuses_what_cannot_be_charged(
        self, merchant: SigningClient, change: dict[str, Any]
    ) -> None:
        answer = merchant.post("/tokens", card_body(**change))
        refused(answer, 422, "card_invalid")
        assert str(next(iter(change.values()))) not in problem_in(answer)["detail"]
        assert not Token.objects.exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"number": int(VISA)},
            {"number": None},
            {"number": [VISA]},
            {"number": VISA * 10},
            {"number": ""},
            {"expMonth": "12"},
            {"expMonth": True},
            {"expMonth": 1.0},
            {"expYear": None},
            {"expYear": VISA},
            {"cvc": 123},
            {"cvc": VISA},
            {"holder": ""},
            {"holder": "a\nb"},
            {"holder": "x" * 101},
        ],
    )
    def test_refuses_other_types_and_lengths(
        self, merchant: SigningClient, change: dict[str, Any]
    ) -> None:
        answer = merchant.post("/tokens", card_body(**change))
        refused(answer, 400, "validation_failed")
        assert [error["field"] for error in problem_in(answer)["errors"]] == [
            f"card.{name}" for name in change
        ]
        assert VISA not in answer.content.decode()

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (card_body() | {"wallet": {"provider": "a", "walletId": "b"}}, "validation_failed"),
            (card_body() | {"type": "WALLET"}, "validation_failed"),
            (wallet_body() | {"type": "CARD"}, "validation_failed"),
            (card_body() | {"type": "NETBANKING"}, "validation_failed"),
            ({"type": "CARD", "idempotencyKey": "x"}, "validation_failed"),
            (card_body() | {"number": VISA}, "unknown_field"),
            (card_body(pin="1234"), "unknown_field"),
            (card_body(**{VISA: "1"}), "unknown_field"),
            (card_body(holder=VISA), "card_number_refused"),
            (card_body() | {"idempotencyKey": VISA}, "card_number_refused"),
            (wallet_body(walletId=VISA), "card_number_refused"),
            (wallet_body(provider="4111 1111 1111 1111"), "card_number_refused"),
        ],
    )
    def test_refuses_a_number_anywhere_else(
        self, merchant: SigningClient, body: dict[str, Any], code: str
    ) -> None:
        answer = merchant.post("/tokens", body)
        refused(answer, 400, code)
        assert VISA not in answer.content.decode()
        assert not Token.objects.exists()

    def test_asks_for_an_idempotency_key(self, merchant: SigningClient) -> None:
        body = card_body()
        del body["idempotencyKey"]
        refused(merchant.post("/tokens", body), 400, "idempotency_key_required")

    def test_takes_the_key_from_a_signed_header(self, merchant: SigningClient) -> None:
        body = b'{"type":"WALLET","wallet":{"provider":"paywave","walletId":"7"}}'
        assert send_v2(merchant, "POST", "/tokens", body, key="k").status_code == 201

    def test_answers_a_repeat_with_the_same_bytes(self, merchant: SigningClient) -> None:
        body = card_body()
        first, again = (merchant.post("/tokens", body) for _ in range(2))
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        other_card = body | {"card": card(MASTERCARD)}
        refused(merchant.post("/tokens", other_card), 409, "idempotency_key_reused")
        assert Token.objects.count() == 1

    def test_stores_one_card_when_a_request_is_sent_many_times_at_once(
        self, merchant: SigningClient
    ) -> None:
        body = card_body()
        answers = race([lambda: merchant.post("/tokens", body)] * 8)
        assert {(a.status_code, a.content) for a in answers} == {(201, answers[0].content)}
        assert Token.objects.count() == 1

    def test_takes_nothing_from_who_did_not_sign(self, db: None) -> None:
        answer = Client().post("/api/v1/tokens", card_body(), content_type=JSON)
        refused(answer, 401, "invalid_signature")
        assert VISA not in answer.content.decode()


class TestGetToken:
    def test_shows_what_was_answered_first(self, merchant: SigningClient) -> None:
        for body in (card_body(), wallet_body()):
            told = tokenised(merchant, body)
            answer = merchant.get(f"/tokens/{told['token']}")
            assert (answer.status_code, answer.json()) == (200, told)

    @pytest.mark.parametrize(
        "token", ["tok_" + "a" * 32, "tok_test", "x", "%00", "tok_%F0%9F%92%A3", VISA, "a" * 5000]
    )
    def test_does_not_know_what_is_none(self, merchant: SigningClient, token: str) -> None:
        answer = merchant.get(f"/tokens/{token}")
        refused(answer, 404, "token_not_found")
        assert VISA not in answer.content.decode()

    def test_does_not_know_another_merchants(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        token = tokenised(merchant)["token"]
        refused(other.get(f"/tokens/{token}"), 404, "token_not_found")
        refused(other.delete(f"/tokens/{token}", {"idempotencyKey": "x"}), 404, "token_not_found")
        assert merchant.get(f"/tokens/{token}").status_code == 200


class TestDeleteToken:
    def test_leaves_nothing_to_be_found(self, merchant: SigningClient) -> None:
        path = f"/tokens/{tokenised(merchant)['token']}"
        answer = merchant.delete(path, {"idempotencyKey": "delete"})
        assert (answer.status_code, answer.content) == (204, b"")
        refused(merchant.get(path), 404, "token_not_found")
        refused(merchant.delete(path, {"idempotencyKey": "again"}), 404, "token_not_found")

    def test_answers_a_repeat_as_the_first_time(self, merchant: SigningClient) -> None:
        path = f"/tokens/{tokenised(merchant)['token']}"
        answers = [merchant.delete(path, {"idempotencyKey": "delete"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [204, 204]
        assert answers[1].headers["Idempotent-Replayed"] == "true"

    def test_asks_for_an_idempotency_key(self, merchant: SigningClient) -> None:
        path = f"/tokens/{tokenised(merchant)['token']}"
        refused(merchant.delete(path, {}), 400, "idempotency_key_required")
        refused(merchant.delete(path, {"idempotencyKey": "x", "y": 1}), 400, "unknown_field")
        assert merchant.get(path).status_code == 200
