"""Card numbers: found in any text, refused, and repeated nowhere."""

import json
import time
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.http.card_numbers import contains_card_number, luhn_holds, shown
from shared.testing.api import Written, payment_body, refused, send_v2
from shared.testing.signing import JSON, SigningClient

PAN = "4111111111111111"
# What the schemes and processors publish for testing.
TEST_CARDS = {
    "Visa": "4111111111111111",
    "Visa of 13": "4222222222222",
    "Visa of 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, 2 series": "2223003122003222",
    "Mastercard, end of the 2 series": "2720992593319364",
    "American Express": "378282246310005",
    "Diners": "30569309025904",
    "Diners of 16": "3600000000000008",
    "JCB": "3530111333300000",
    "Discover": "6011111111111117",
    "UnionPay": "6200000000000005",
    "Maestro": "6759649826438453",
    "RuPay": "6521111111111110",
}


class TestContainsCardNumber:
    @pytest.mark.parametrize("number", TEST_CARDS.values(), ids=TEST_CARDS.keys())
    def test_knows_the_brands(self, number: str) -> None:
        assert luhn_holds(number)
        assert contains_card_number(number)

    @pytest.mark.parametrize(
        "text",
        [
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "3782 822463 10005",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111\u00a01111\u00a01111\u00a01111",
            "4111\u20111111\u20131111\u20141111",
            "4111\t1111\n1111 1111",
            "４１１１１１１１１１１１１１１１",
            "paid with 4111111111111111.",
            "card:4111111111111111",
            "tok_4111111111111111_x",
            "PAN4111111111111111PAN",
            "4111111111111111 12/29",
            "4111111111111111 2",
            "4111 1111 1111 1111 123",
            "2 4111111111111111",
            "12-4111-1111-1111-1111",
            "1 2 3 4111 1111 1111 1111 4 5 6",
            "order 2026-01-31 4111111111111111",
            "4111111111111112 4111111111111111",
            "1" * 30 + " 4111111111111111",
            "ü" * 400 + PAN,
        ],
    )
    def test_finds_one_wherever_it_stands(self, text: str) -> None:
        assert contains_card_number(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "4111111111111112",
            "411111111111",
            "4111 1111 1111",
            "9111111111111111",
            "1234567890123452",
            "14111111111111111",
            "41111111111111110000",
            "4111  1111  1111  1111",
            "4111/1111/1111/1111",
            "4111.1111.1111.1111",
            "4111a1111a1111a1111",
            "+49 170 1234567",
            "2026-11-20T13:23:59.545387Z",
            "1700000000000",
            "IBAN DE89 3704 0044 0532 0130 00",
            "250.00",
        ],
    )
    def test_lets_other_digits_pass(self, text: str) -> None:
        assert not contains_card_number(text)

    @settings(max_examples=500)
    @given(st.uuids())
    def test_lets_every_uuid_pass(self, uuid: UUID) -> None:
        for text in (str(uuid), uuid.hex, str(uuid).upper(), f"key-{uuid}", f"key_{uuid.hex}"[4:]):
            assert not contains_card_number(text)

    def test_lets_uuids_pass_that_hold_one_by_chance(self) -> None:
        """One random UUID in two thousand does; each was a payment refused."""
        by_chance = "a4111111-1111-4101-9a1a-0000000000aa"
        assert contains_card_number(by_chance[:20])
        assert not contains_card_number(by_chance)
        assert contains_card_number(f"{by_chance} {PAN}")

    def test_is_quick_with_texts_as_long_as_fields_are(self) -> None:
        for text in ("4 " * 250, "4" * 500, "4111-" * 100, "a" * 500, "0-" * 250):
            started_at = time.process_time()
            contains_card_number(text)
            assert time.process_time() - started_at < 0.05

    @given(st.text(max_size=200))
    def test_reads_any_text(self, text: str) -> None:
        assert contains_card_number(text) in (True, False)


class TestLuhn:
    @given(st.text("0123456789", min_size=1, max_size=25))
    def test_holds_for_one_check_digit_in_ten(self, digits: str) -> None:
        assert [luhn_holds(digits + check) for check in "0123456789"].count(True) == 1

    @given(st.sampled_from(sorted(TEST_CARDS.values())), st.data())
    def test_finds_every_single_wrong_digit(self, number: str, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(number) - 1))
        wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != number[position]]))
        assert not luhn_holds(number[:position] + wrong + number[position + 1 :])


class TestShown:
    @pytest.mark.parametrize(
        ("name", "repeated"),
        [
            ("colour", "colour"),
            ("x" * 40, "x" * 40),
            ("x" * 41, "?"),
            ("a\nb", "?"),
            (PAN, "?"),
            ("\u202e", "?"),
        ],
    )
    def test_repeats_harmless_names_only(self, name: str, repeated: str) -> None:
        assert shown(name) == repeated


@pytest.mark.django_db
class TestRefusal:
    def assert_refused(self, answer: Any) -> None:
        refused(answer, 400, "card_number_refused")
        assert PAN not in answer.content.decode()
        assert "1111" not in answer.content.decode()

    def test_covers_every_text_of_a_payment(self, merchant: SigningClient) -> None:
        before = Written.now()
        for number in (PAN, "4111 1111 1111 1111 12/29", f"x {PAN}"):
            for change in (
                {"description": number},
                {"idempotencyKey": number},
                {"metadata": {"note": number}},
                {"metadata": {number: "note"}},
                {"paymentMethod": {"type": "CARD", "token": number}},
            ):
                for path in ("/payments", "/payments/authorize"):
                    self.assert_refused(merchant.post(path, payment_body(**change)))
        assert Written.now() == before

    def test_covers_every_text_of_a_merchant(self, merchant: SigningClient) -> None:
        before = Written.now()
        for change in ({"name": f"Acme {PAN}"}, {"email": f"{PAN}@example.com"}):
            body = {"name": "Acme", "email": "a@example.com"} | change
            self.assert_refused(
                Client().post("/api/v1/merchants/register", body, content_type=JSON)
            )
        for path in ("/merchants/keys/rotate",):
            self.assert_refused(merchant.post(path, {"idempotencyKey": PAN}))
        self.assert_refused(merchant.delete(f"/merchants/keys/{PAN}", {"idempotencyKey": PAN}))
        assert Written.now() == before

    def test_covers_a_signed_idempotency_header(self, merchant: SigningClient) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        raw = json.dumps(body).encode()
        self.assert_refused(send_v2(merchant, "POST", "/payments", raw, key=PAN))
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM shared.idempotency_record")
            assert cursor.fetchone() == (0,)

    def test_covers_other_fields_without_repeating_them(self, merchant: SigningClient) -> None:
        for change in (
            {"paymentMethod": {"type": PAN, "token": "tok_test"}},
            {"currency": PAN},
            {"payeeAccountId": PAN},
            {"amount": PAN},
            {PAN: "x"},
            {"paymentMethod": {"type": "CARD", "token": "tok_test", PAN: 1}},
        ):
            answer = merchant.post("/payments", payment_body(**change))
            assert answer.status_code == 400
            assert PAN not in answer.content.decode()
