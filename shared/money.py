"""
Money: whole minor units and a currency of ISO 4217. Never a float, never a rounding by accident.

Amounts on the wire are decimal strings in major units ("250.00"); inside, `amount_minor` is an
`int` between 1 and 10^15. The exponent comes from the table below, never from a locale library:
CLDR's display digits differ from ISO 4217 for a dozen currencies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_AMOUNT_MINOR = 10**15
_MAX_TEXT = 64

# Circulating money of ISO 4217 by number of decimals; funds codes, metals and test codes are not
# money anybody can be paid in. `shared/tests/test_money.py` checks it against the iso4217 package.
_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL "
        "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN "
        "PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
        "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
EXPONENTS = {code: digits for digits, codes in _BY_EXPONENT.items() for code in codes.split()}

_GRAMMAR = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]+))?", re.ASCII)


class NotAnAmount(ValueError):
    """The text is not an amount in this currency; the message says why, for people."""


class UnknownCurrency(ValueError):
    """The code is not an upper-case ISO 4217 code of circulating money."""


def exponent(currency: str) -> int:
    """The number of decimals of a currency. Raises: UnknownCurrency."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency("Not an ISO 4217 code of circulating money.") from None


def parse_amount(text: object, currency: str) -> int:
    """
    The minor units of a decimal string in major units.

    Raises:
        NotAnAmount: not ASCII digits with an optional fraction, zero, more decimals than the
            currency has, or more than 10^15 minor units.
        UnknownCurrency: see `exponent`.

    """
    digits = exponent(currency)
    match = _GRAMMAR.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_TEXT else None
    if match is None:
        raise NotAnAmount('An amount is a decimal string in major units, such as "250.00".')
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > digits:
        raise NotAnAmount(f"{currency} has {digits} decimals, not {len(fraction)}.")
    amount_minor = int(whole + fraction.ljust(digits, "0"))
    if not 1 <= amount_minor <= MAX_AMOUNT_MINOR:
        raise NotAnAmount("An amount is above zero and at most 10^15 minor units.")
    return amount_minor


def format_amount(amount_minor: int, currency: str) -> str:
    """Minor units as a decimal string in major units, with all decimals of the currency."""
    digits = exponent(currency)
    sign, padded = "-" * (amount_minor < 0), str(abs(amount_minor)).rjust(digits + 1, "0")
    return sign + (f"{padded[:-digits]}.{padded[-digits:]}" if digits else padded)


@dataclass(frozen=True, order=False)
class Money:
    """An amount in minor units of one currency. Amounts of two currencies never mix."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse anything but whole minor units of a known currency."""
        if type(self.amount_minor) is not int:
            raise TypeError("amount_minor is an int of minor units.")
        exponent(self.currency)

    def __str__(self) -> str:
        """For people: `250.00 USD`."""
        return f"{format_amount(self.amount_minor, self.currency)} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        """The sum. Raises: ValueError on two currencies."""
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """The difference, which may be negative. Raises: ValueError on two currencies."""
        return Money(self.amount_minor - self._same(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        """Whether this is less. Raises: ValueError on two currencies."""
        return self.amount_minor < self._same(other)

    def allocate(self, weights: Sequence[int]) -> list["Money"]:
        """
        Shares in proportion to whole-number weights, whose sum is exactly this amount.

        The units that do not divide go to the largest remainders, earlier shares first.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("Weights are not negative and not all zero.")
        shares = [self.amount_minor * weight // total for weight in weights]
        remainders = [self.amount_minor * weight % total for weight in weights]
        by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
        for i in by_remainder[: self.amount_minor - sum(shares)]:
            shares[i] += 1
        assert sum(shares) == self.amount_minor  # noqa: S101 - a lost unit must stop here
        return [Money(share, self.currency) for share in shares]

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self} and {other} are of two currencies.")
        return other.amount_minor
