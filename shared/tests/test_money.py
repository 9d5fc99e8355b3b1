"""Money: the grammar of amounts, the table of currencies, and nothing lost in a division."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.serializers import DecimalField

from shared.money import (
    EXPONENTS,
    MAX_AMOUNT_MINOR,
    Money,
    NotAnAmount,
    UnknownCurrency,
    exponent,
    format_amount,
    parse_amount,
)

currencies = st.sampled_from(sorted(EXPONENTS))
amounts_minor = st.integers(1, MAX_AMOUNT_MINOR)

NOT_AMOUNTS: list[Any] = [
    *["-1", "-0.00", "0", "0.00", "0.000", "+5", "--1", "- 1"],
    *["1_000", "1_000.00", "1,000.00", "1'000", "1 000", "1.000,00", "1.2.3"],
    *["１２.50", "１２．50", "٣", "१२", "²", "1٫5", "12.５0"],
    *[" 12", "12 ", "12\n", "\t12", "12\u00a0", "\ufeff12", "12\0"],
    *["1e2", "1E2", "1e400", "0x10", "0b1", "0o7", "1/2", "1%", "$12", "12USD"],
    *[".5", "5.", ".", "", " ", "00", "00.5", "01", "-", "+"],
    *["NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf", "null", "true"],
    *["1" * 16, "1" * 65, "1" * 5000, "0." + "0" * 70, "1." + "0" * 5000],
    *[True, False, 12, 12.5, None, b"12", ["12"], {"amount": "12"}, Decimal("12.50")],
]
NOT_CURRENCIES = [
    "XXX",
    "XTS",
    "XAU",
    "XDR",
    "CLF",
    "USN",
    "CHE",
    "usd",
    "Usd",
    "US",
    "",
    "USD ",
    "ＵＳＤ",
]


def accepted_by(parse: Callable[[Any], object]) -> set[str]:
    """Those of the refused texts that another parser takes."""
    return {text for text in NOT_AMOUNTS if isinstance(text, str) and _takes(parse, text)}


def _takes(parse: Callable[[Any], object], text: str) -> bool:
    try:
        parse(text)
    except Exception:
        return False
    return True


class TestParseAmount:
    @pytest.mark.parametrize("text", NOT_AMOUNTS, ids=lambda text: ascii(text)[:20])
    def test_refuses_what_is_no_decimal_string_in_major_units(self, text: Any) -> None:
        with pytest.raises(NotAnAmount):
            parse_amount(text, "USD")

    def test_is_stricter_than_decimal_and_than_the_framework(self) -> None:
        """The naive twins: each of them takes amounts that two readers understand differently."""
        field = DecimalField(max_digits=17, decimal_places=2, min_value=Decimal("0.01"))
        by_decimal = accepted_by(lambda text: Decimal(text) * 100)
        by_framework = accepted_by(field.run_validation)
        assert {"1_000", "１２.50", " 12", "1e2", "+5", "NaN", "Infinity", "-1"} <= by_decimal
        assert {"１２.50", " 12", "1_000", "1e2", "+5", ".5", "01"} <= by_framework

    @pytest.mark.parametrize(
        ("text", "currency"),
        [("10.5", "JPY"), ("10.0", "JPY"), ("1.2345", "KWD"), ("1.001", "USD"), ("1.000", "USD")],
    )
    def test_refuses_more_decimals_than_the_currency_has(self, text: str, currency: str) -> None:
        with pytest.raises(NotAnAmount, match="decimals"):
            parse_amount(text, currency)

    @pytest.mark.parametrize(
        ("text", "currency", "amount_minor"),
        [
            ("10", "JPY", 10),
            ("1.234", "KWD", 1234),
            ("1.2", "KWD", 1200),
            ("250.00", "USD", 25_000),
            ("250", "USD", 25_000),
            ("250.5", "USD", 25_050),
            ("0.01", "USD", 1),
            ("0.001", "KWD", 1),
            ("10000000000000.00", "USD", MAX_AMOUNT_MINOR),
            ("999999999999999", "JPY", 999_999_999_999_999),
        ],
    )
    def test_reads_minor_units(self, text: str, currency: str, amount_minor: int) -> None:
        assert parse_amount(text, currency) == amount_minor

    @pytest.mark.parametrize(
        ("text", "currency"),
        [
            ("10000000000000.01", "USD"),
            ("1000000000000000", "JPY"),
            ("1000000000000.001", "KWD"),
            ("999999999999999.99", "USD"),
        ],
    )
    def test_refuses_more_than_the_largest_amount(self, text: str, currency: str) -> None:
        with pytest.raises(NotAnAmount):
            parse_amount(text, currency)

    @pytest.mark.parametrize("currency", NOT_CURRENCIES)
    def test_refuses_what_nobody_can_be_paid_in(self, currency: str) -> None:
        with pytest.raises(UnknownCurrency):
            parse_amount("1", currency)

    @given(amounts_minor, currencies)
    def test_reads_back_what_was_formatted(self, amount_minor: int, currency: str) -> None:
        if EXPONENTS[currency] == 0:
            amount_minor = min(amount_minor, MAX_AMOUNT_MINOR - 1)  # fifteen digits at most
        assert parse_amount(format_amount(amount_minor, currency), currency) == amount_minor

    @given(st.from_regex(r"[0-9+\-._eE ٣１]{0,20}", fullmatch=True) | st.text(), currencies)
    def test_reads_exactly_or_not_at_all(self, text: str, currency: str) -> None:
        try:
            amount_minor = parse_amount(text, currency)
        except NotAnAmount:
            return
        assert text.isascii()
        assert Decimal(text).scaleb(EXPONENTS[currency]) == amount_minor
        assert 1 <= amount_minor <= MAX_AMOUNT_MINOR


class TestCurrencies:
    def test_are_the_circulating_money_of_iso_4217(self) -> None:
        funds = {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"}
        theirs = {
            currency.code: currency.exponent
            for currency in iso4217.Currency
            if currency.exponent is not None and currency.code not in funds
        }
        assert theirs == EXPONENTS

    def test_have_an_exponent(self) -> None:
        assert [exponent(code) for code in ("JPY", "USD", "KWD")] == [0, 2, 3]


class TestFormatAmount:
    @pytest.mark.parametrize(
        ("amount_minor", "currency", "text"),
        [
            (25_000, "USD", "250.00"),
            (1, "USD", "0.01"),
            (0, "USD", "0.00"),
            (-5, "USD", "-0.05"),
            (10, "JPY", "10"),
            (0, "JPY", "0"),
            (1, "KWD", "0.001"),
            (MAX_AMOUNT_MINOR, "KWD", "1000000000000.000"),
        ],
    )
    def test_shows_all_decimals(self, amount_minor: int, currency: str, text: str) -> None:
        assert format_amount(amount_minor, currency) == text


class TestMoney:
    @pytest.mark.parametrize("amount_minor", [1.0, True, "1", None, Decimal(1)])
    def test_is_a_whole_number(self, amount_minor: Any) -> None:
        with pytest.raises(TypeError):
            Money(amount_minor, "USD")

    def test_is_of_a_known_currency(self) -> None:
        with pytest.raises(UnknownCurrency):
            Money(1, "XXX")

    def test_adds_subtracts_and_compares_in_one_currency(self) -> None:
        assert Money(1, "USD") + Money(2, "USD") == Money(3, "USD")
        assert Money(1, "USD") - Money(2, "USD") == Money(-1, "USD")
        assert Money(1, "USD") < Money(2, "USD")
        assert str(Money(25_000, "USD")) == "250.00 USD"

    def test_never_mixes_two_currencies(self) -> None:
        dollars, euros = Money(100, "USD"), Money(100, "EUR")
        assert dollars != euros
        for mix in (lambda: dollars + euros, lambda: dollars - euros, lambda: dollars < euros):
            with pytest.raises(ValueError, match="two currencies"):
                mix()


class TestAllocate:
    weights = st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any)

    def allocate(self, amount_minor: int, weights: list[int]) -> list[int]:
        return [share.amount_minor for share in Money(amount_minor, "USD").allocate(weights)]

    def naive(self, amount_minor: int, weights: list[int]) -> list[int]:
        """Round every share by itself."""
        total = Decimal(sum(weights))
        shares = [Decimal(amount_minor * weight) / total for weight in weights]
        return [int(share.to_integral_value(ROUND_HALF_EVEN)) for share in shares]

    @given(st.integers(-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR), weights)
    def test_loses_and_invents_nothing(self, amount_minor: int, weights: list[int]) -> None:
        assert sum(self.allocate(amount_minor, weights)) == amount_minor

    def test_would_lose_a_unit_if_every_share_were_rounded(self) -> None:
        assert sum(self.naive(100, [1, 1, 1])) == 99
        assert sum(self.allocate(100, [1, 1, 1])) == 100

    @given(amounts_minor, weights)
    def test_gives_everybody_the_exact_share_to_within_a_unit(
        self, amount_minor: int, weights: list[int]
    ) -> None:
        for share, weight in zip(self.allocate(amount_minor, weights), weights, strict=True):
            # |share - amount * weight / total| < 1, in whole numbers
            assert abs(share * sum(weights) - amount_minor * weight) < sum(weights)
            assert weight or share == 0

    @pytest.mark.parametrize(
        ("amount_minor", "weights", "shares"),
        [
            (100, [1, 1, 1], [34, 33, 33]),
            (1, [1, 1, 1], [1, 0, 0]),
            (2, [0, 1, 1], [0, 1, 1]),
            (5, [3, 7], [2, 3]),
            (10, [1, 2, 3], [2, 3, 5]),
            (MAX_AMOUNT_MINOR, [1, 1, 1], [333_333_333_333_334, *[333_333_333_333_333] * 2]),
        ],
    )
    def test_gives_the_rest_to_the_largest_remainders_earlier_first(
        self, amount_minor: int, weights: list[int], shares: list[int]
    ) -> None:
        assert self.allocate(amount_minor, weights) == shares

    @pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1, 2], [-1]])
    def test_refuses_weights_that_share_nothing(self, weights: list[int]) -> None:
        with pytest.raises(ValueError, match="Weights"):
            Money(1, "USD").allocate(weights)
