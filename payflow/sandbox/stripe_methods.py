"""Stripe's test payment methods, and ours in their place: what each stands for."""

import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from payflow.sandbox.faults import CARDS, token_trigger
from payflow.sandbox.stripe_forms import Form, invalid, missing, section, text, whole

_VISA = ("visa", "4242")
_CHALLENGE = "challenge"
# What follows `pm_card_`, or `tok_`: brand and last four digits, and what it triggers.
_KNOWN = {
    "visa": (_VISA, ""),
    "mastercard": (("mastercard", "4444"), ""),
    "amex": (("amex", "8431"), ""),
    "chargeDeclined": (("visa", "0002"), "declined"),
    "visa_chargeDeclined": (("visa", "0002"), "declined"),
    "chargeDeclinedInsufficientFunds": (("visa", "9995"), "insufficient_funds"),
    "visa_chargeDeclinedInsufficientFunds": (("visa", "9995"), "insufficient_funds"),
    "authenticationRequired": (("visa", "3184"), _CHALLENGE),
}
_CHALLENGED_CARDS = frozenset({"4000002500003155", "4000002760003184"})
_BRANDS = {"3": "amex", "4": "visa", "5": "mastercard", "6": "discover"}
_NUMBER = re.compile(r"[0-9]{12,19}")


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method, without the number it may have been made from."""

    id: str
    brand: str
    last4: str
    trigger: str = ""
    is_challenged: bool = False
    exp_month: int = 12
    exp_year: int = 2034

    @property
    def card(self) -> dict[str, Any]:
        """What a charge shows of it."""
        return {
            "brand": self.brand,
            "checks": dict.fromkeys(
                ("address_line1_check", "address_postal_code_check", "cvc_check")
            ),
            "country": "US",
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "funding": "credit",
            "last4": self.last4,
            "network": self.brand,
            "three_d_secure": None,
            "wallet": None,
        }


def read_method(form: Form) -> Method:
    """This will read `payment_method` or `payment_method_data`. Raises: Refused."""
    if "payment_method_data" not in form:
        return _by_id(text(form, "payment_method"))
    data = section(form, "payment_method_data")
    if text(data, "type") != "card":
        raise invalid("Only cards here.", param="payment_method_data[type]")
    card = section(data, "card")
    if "token" in card:
        return _by_token(text(card, "token"))
    return _by_number(card)


def _by_id(name: str) -> Method:
    known = _KNOWN.get(name.removeprefix("pm_card_")) if name.startswith("pm_card_") else None
    if known is None:
        raise missing("PaymentMethod", "payment_method", HTTPStatus.BAD_REQUEST)
    return _known(known)


def _by_token(name: str) -> Method:
    if not name.startswith("tok_"):
        raise missing("token", "payment_method_data[card][token]", HTTPStatus.BAD_REQUEST)
    known = _KNOWN.get(name.removeprefix("tok_"))
    return _known(known) if known else _made(_VISA, token_trigger(name))


def _by_number(card: Form) -> Method:
    number = text(card, "number")
    if not _NUMBER.fullmatch(number):
        raise invalid("Your card number is incorrect.", "incorrect_number", "number")
    month, year = whole(card, "exp_month"), whole(card, "exp_year")
    return Method(
        id=_new_id(),
        brand=_BRANDS.get(number[0], "unknown"),
        last4=number[-4:],
        trigger=CARDS.get(number, ""),
        is_challenged=number in _CHALLENGED_CARDS,
        exp_month=month,
        exp_year=year,
    )


def _known(known: tuple[tuple[str, str], str]) -> Method:
    look, trigger = known
    if trigger == _CHALLENGE:
        return Method(_new_id(), *look, is_challenged=True)
    return _made(look, trigger)


def _made(look: tuple[str, str], trigger: str) -> Method:
    brand, last4 = look
    return Method(_new_id(), brand, last4, trigger)


def _new_id() -> str:
    return f"pm_{os.urandom(12).hex()}"
