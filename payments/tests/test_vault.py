"""The vault: what it takes, what it keeps of it, who gets it back, and who does not."""

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from payments import vault
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Bank, Card, ProcessorToken, Wallet
from payments.models import Payment, Token
from payments.models.token import is_ours, new_token
from payments.tests.cards import MASTERCARD, VISA, card, with_check_digit
from payments.tests.conftest import NOW, payment_in
from payments.vault import CardInvalid, UnknownToken
from shared import crypto, db
from shared.http.card_numbers import contains_card_number
from shared.identifiers import new_id

ACME, OTHER = new_id(), new_id()
WALLET = {"provider": "paywave", "walletId": "wallet-7"}
ONE, TWO = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
BRANDS = {
    "visa": ("4", {13, 16, 19}),
    "mastercard": ("2221 2720 51 55", {16}),
    "amex": ("34 37", {15}),
    "diners": ("300 305 36 38", {14, 16, 19}),
    "discover": ("6011 644 65", {16, 17, 18, 19}),
    "jcb": ("3528 3589", {16, 17, 18, 19}),
    "unionpay": ("62 81", {16, 17, 18, 19}),
    "rupay": ("508 6069 6521 82", {16}),
    "maestro": ("50 56 58 67", {13, 14, 15, 17, 18, 19}),
}

pytestmark = pytest.mark.django_db


def stored(merchant_id: UUID = ACME, number: str = VISA, **changes: Any) -> Token:
    return vault.store_card(merchant_id=merchant_id, card=card(number, **changes), now=NOW)


def wallet(merchant_id: UUID = ACME, **changes: str) -> Token:
    return vault.store_wallet(merchant_id=merchant_id, wallet=WALLET | changes, now=NOW)


def paid_with(token: str, merchant_id: UUID = ACME, **changes: Any) -> Payment:
    return payment_in(PaymentStatus.PENDING, method_token=token, merchant_id=merchant_id, **changes)


def columns_of(token: Token) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM payments.token t WHERE id = %s", [token.pk])
        return str(cursor.fetchone()[0])


@pytest.fixture
def use_ring() -> Iterator[Callable[[str], None]]:
    """Live with another ring, as after a restart."""

    def forget_keys() -> None:
        for cached in (crypto.ring, crypto._cipher, crypto._derive):
            cached.cache_clear()

    with override_settings():

        def use(text: str) -> None:
            settings.KEY_RING = text
            forget_keys()

        yield use
    forget_keys()


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """What is logged while a test runs, as it is written."""
    written, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    handler.setFormatter(next(h.formatter for h in root.handlers if h.formatter))
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


class TestStoreCard:
    def test_keeps_what_may_be_shown(self) -> None:
        token = stored(number=MASTERCARD, expMonth=2, expYear=2031)
        token.refresh_from_db()
        assert is_ours(token.pk)
        assert (token.method_type, token.brand, token.last4) == ("CARD", "mastercard", "4444")
        assert (token.exp_month, token.exp_year, token.created_at) == (2, 2031, NOW)
        assert (token.merchant_id, len(token.fingerprint)) == (ACME, 32)

    def test_keeps_neither_number_nor_security_code_in_the_clear(self) -> None:
        token = stored(cvc="9876", holder="Ada Lovelace")
        row = columns_of(token)
        for secret in (VISA, "9876", "Lovelace"):
            assert secret not in row
            assert secret.encode().hex() not in row

    def test_does_not_keep_the_security_code_at_all(self) -> None:
        token = stored(cvc="9876", holder="Ada Lovelace")
        place = f"{ACME}|{token.pk}"
        content = crypto.unseal(bytes(token.sealed or b""), purpose="card", bound_to=place)
        assert json.loads(content) == {"number": VISA, "holder": "Ada Lovelace"}

    def test_naive_the_number_would_stand_in_a_row_that_is_not_sealed(self) -> None:
        token = stored()
        Token.objects.filter(pk=token.pk).update(sealed=VISA.encode())
        assert VISA.encode().hex() in columns_of(token)

    @pytest.mark.parametrize("brand", BRANDS)
    def test_tells_the_brand_by_prefix_and_length(self, brand: str) -> None:
        prefixes, lengths = BRANDS[brand]
        for prefix in prefixes.split():
            for length in lengths:
                number = with_check_digit((prefix + "1" * 19)[: length - 1])
                assert stored(number=number).brand == brand, number
                # What can be stored here is refused as a card number everywhere else.
                assert contains_card_number(number)

    @pytest.mark.parametrize(
        "number",
        [
            "",
            "4111111111111112",
            "411111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "٤١١١١١١١١١١١١١١١",
            "4111111111111111\n",
            "424242424242",
            "42424242424242424242",
            with_check_digit("999999999999999"),
            with_check_digit("100000000000000"),
            "0000000000000000",
            "four",
        ],
    )
    def test_refuses_what_is_no_card_number_without_repeating_it(self, number: str) -> None:
        with pytest.raises(CardInvalid) as refused:
            stored(number=number)
        assert not number or number not in str(refused.value) + repr(refused.value)
        assert not Token.objects.exists()

    @given(position=st.integers(0, 15), change=st.integers(1, 9))
    def test_finds_every_single_wrong_digit(self, position: int, change: int) -> None:
        digit = (int(VISA[position]) + change) % 10
        with pytest.raises(CardInvalid):
            stored(number=f"{VISA[:position]}{digit}{VISA[position + 1 :]}")

    @pytest.mark.parametrize(
        ("month", "year"), [(5, 2026), (12, 2025), (0, 2030), (13, 2030), (6, 26), (1, 2057)]
    )
    def test_refuses_an_expiry_that_is_past_or_none(self, month: int, year: int) -> None:
        with pytest.raises(CardInvalid):
            stored(expMonth=month, expYear=year)

    def test_takes_a_card_to_the_last_moment_of_its_month(self) -> None:
        last = datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)
        june = card(expMonth=6, expYear=2026)
        assert vault.store_card(merchant_id=ACME, card=june, now=last).exp_month == 6
        with pytest.raises(CardInvalid):
            vault.store_card(merchant_id=ACME, card=june, now=datetime(2026, 7, 1, tzinfo=UTC))

    @pytest.mark.parametrize("cvc", ["", "12", "12345", "12a", "١٢٣", "123\n"])
    def test_refuses_a_security_code_that_is_none(self, cvc: str) -> None:
        with pytest.raises(CardInvalid):
            stored(cvc=cvc)

    def test_gives_a_new_token_each_time(self) -> None:
        assert len({stored().pk for _ in range(5)}) == 5


class TestToken:
    def test_never_looks_like_a_card_number(self) -> None:
        """So that no field of the API refuses our own tokens; of hexadecimal ones many would be."""
        assert not [token for token in (new_token() for _ in range(2000)) if not is_ours(token)]
        assert not any(contains_card_number(new_token()) for _ in range(20_000))
        assert contains_card_number("tok_" + VISA + "abcdef" * 2 + "abcd")

    @pytest.mark.parametrize(
        "token", ["tok_test", "tok_declined", "pm_card_visa", "", "TOK_" + "a" * 32, "tok_1NBx"]
    )
    def test_is_told_from_the_tokens_of_processors(self, token: str) -> None:
        assert not is_ours(token)

    @pytest.mark.parametrize(
        ("constraint", "change"),
        [
            ("token_has_our_shape", {"id": "tok_test"}),
            ("token_ciphertext_until_deleted", {"sealed": None}),
            ("token_ciphertext_until_deleted", {"deleted_at": NOW}),
            ("token_fits_its_type", {"brand": "unknown"}),
            ("token_fits_its_type", {"last4": "111"}),
            ("token_fits_its_type", {"exp_month": None}),
            ("token_fits_its_type", {"exp_year": None}),
            ("token_fits_its_type", {"exp_month": 13}),
            ("token_fits_its_type", {"method_type": "BANK"}),
            ("token_fits_its_type", {"method_type": "WALLET"}),
            ("token_fits_its_type", {"wallet_provider": "x"}),
            ("token_fingerprint_is_whole", {"fingerprint": b"short"}),
        ],
    )
    def test_refuses_what_its_constraints_name(
        self, constraint: str, change: dict[str, Any]
    ) -> None:
        stored()
        with pytest.raises(IntegrityError) as refused:
            Token.objects.update(**change)
        assert db.violated_constraint(refused.value) == constraint

    def test_cannot_be_removed_by_anybody(self) -> None:
        token = stored()
        for alias in ("default", "owner"):
            with pytest.raises(Exception, match="token"):
                Token.objects.using(alias).filter(pk=token.pk).delete()
        assert Token.objects.filter(pk=token.pk).exists()


class TestFingerprint:
    def test_is_the_same_for_a_card_whatever_else_changes(self) -> None:
        first, again = stored(expYear=2031, holder="A"), stored(expYear=2032, holder="B")
        assert bytes(first.fingerprint) == bytes(again.fingerprint)

    def test_differs_by_number_merchant_and_type(self) -> None:
        tokens = [
            stored(),
            stored(OTHER),
            stored(number=MASTERCARD),
            wallet(),
            wallet(OTHER),
            wallet(provider="another"),
            wallet(walletId="wallet-8"),
            wallet(provider="paywave|wallet", walletId="7"),
            wallet(provider="paywave", walletId="wallet|7"),
        ]
        assert len({bytes(token.fingerprint) for token in tokens}) == len(tokens)

    def test_is_no_bare_hash_that_could_be_searched_for(self) -> None:
        digests = {crypto.sha256_hex(text.encode()) for text in (VISA, f"{ACME}|{VISA}")}
        assert bytes(stored().fingerprint).hex() not in digests


class TestInstrumentsOf:
    def test_opens_cards_and_wallets_and_passes_the_rest_through(self) -> None:
        visa, account = stored(expMonth=3, expYear=2030), wallet()
        payments = {
            "card": paid_with(visa.pk),
            "wallet": paid_with(account.pk, method_type="WALLET"),
            "sandbox": paid_with("tok_declined"),
            "stripe": paid_with("pm_card_visa"),
            "bank": paid_with("", method_type="NETBANKING", method_details={"bankCode": "GOOD"}),
        }
        found = vault.instruments_of(list(payments.values()))
        assert {name: found[payment.pk] for name, payment in payments.items()} == {
            "card": Card(VISA, 3, 2030),
            "wallet": Wallet("paywave", "wallet-7"),
            "sandbox": ProcessorToken("tok_declined"),
            "stripe": ProcessorToken("pm_card_visa"),
            "bank": Bank("GOOD"),
        }
        assert VISA not in repr(found)

    def test_asks_once_for_a_batch_and_not_at_all_for_others_tokens(self) -> None:
        payments = [paid_with(stored().pk) for _ in range(20)]
        with CaptureQueriesContext(connection) as queries:
            assert len(vault.instruments_of(payments)) == 20
        assert len(queries) == 1
        theirs = [paid_with("tok_test")]
        with CaptureQueriesContext(connection) as queries:
            assert len(vault.instruments_of(theirs)) == 1
        assert len(queries) == 0

    def test_leaves_out_what_is_gone_and_names_only_the_token(self, logs: io.StringIO) -> None:
        deleted, broken, theirs, good = stored(), stored(), stored(OTHER), stored()
        deleted.wipe(now=NOW)
        Token.objects.filter(pk=broken.pk).update(sealed=b"sandbox|" + b"\0" * 60)
        tokens = [deleted.pk, broken.pk, theirs.pk, new_token()]
        payments = [paid_with(token) for token in tokens]
        last = paid_with(good.pk)
        assert vault.instruments_of([*payments, last]) == {last.pk: Card(VISA, 12, 2040)}
        assert all(token in logs.getvalue() for token in tokens)
        assert VISA not in logs.getvalue()

    def test_opens_no_ciphertext_that_was_moved_to_another_row(self, logs: io.StringIO) -> None:
        mine, theirs = stored(), stored(OTHER, MASTERCARD)
        Token.objects.filter(pk=mine.pk).update(sealed=theirs.sealed)
        assert vault.instruments_of([paid_with(mine.pk)]) == {}


class TestDetailsOf:
    def details(self, token: str, **changes: Any) -> vault.TokenDetails | None:
        asked: dict[str, Any] = {"merchant_id": ACME, "method_type": "CARD", "token": token}
        return vault.details_of(**asked | changes)

    def test_tells_what_a_payment_may_show(self) -> None:
        visa, account = stored(), wallet()
        of_card, of_wallet = self.details(visa.pk), self.details(account.pk, method_type="WALLET")
        assert of_card == vault.TokenDetails(
            "CARD", bytes(visa.fingerprint).hex(), brand="visa", last4="1111"
        )
        assert of_wallet == vault.TokenDetails(
            "WALLET",
            bytes(account.fingerprint).hex(),
            wallet_provider="paywave",
            wallet_id="wallet-7",
        )

    def test_refuses_what_this_merchant_cannot_pay_with(self) -> None:
        deleted, theirs = stored(), stored(OTHER)
        deleted.wipe(now=NOW)
        for token in (deleted.pk, theirs.pk, new_token(), wallet().pk):
            with pytest.raises(UnknownToken):
                self.details(token)
        with pytest.raises(UnknownToken):
            self.details(stored().pk, method_type="WALLET")

    @pytest.mark.parametrize("token", ["tok_test", "pm_card_visa", "anything"])
    def test_knows_nothing_of_others_tokens(self, token: str) -> None:
        assert self.details(token) is None

    @pytest.mark.parametrize(
        ("token", "is_taken"),
        [
            ("pm_1MqLiJLkdIwHu7ixUEgbFdYF", True),
            ("tok_1N3T00LkdIwHu7ixt44h1F8k", True),
            ("pm_card_visa", False),
            ("tok_visa", False),
            ("tok_test", False),
            ("tok_1N3T00LkdIwHu7ixt44h1F8k\n", False),
            ("", False),
        ],
    )
    def test_takes_no_test_token_in_production(self, token: str, is_taken: bool) -> None:
        with override_settings(IS_PRODUCTION=True):
            if is_taken:
                assert self.details(token) is None
            else:
                with pytest.raises(UnknownToken):
                    self.details(token)

    def test_tells_the_same_fingerprint_of_old_and_new_tokens_when_the_oldest_key_left(
        self, use_ring: Callable[[str], None]
    ) -> None:
        use_ring(f"old:{ONE}")
        before = stored()
        use_ring(f"new:{TWO},old:{ONE}")
        assert bytes(stored().fingerprint) == bytes(before.fingerprint)
        between = stored()
        use_ring(f"new:{TWO}")
        assert bytes(stored().fingerprint) != bytes(between.fingerprint)  # as stored
        told = {details.fingerprint for details in map(self.details, (between.pk, stored().pk))}  # type: ignore[union-attr]
        assert len(told) == 1
