"""
The one file that ever sees a card number.

A number comes in with `store_card` and goes out in the `Card` of `instruments_of`, which lives as
long as its call to a processor. In between it is sealed, bound to its merchant and token. It is
never logged, raised, published or returned to a merchant; its security code is not even sealed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from payments.domain.processor import Bank, Card, Instrument, ProcessorToken, Wallet
from payments.models import Payment, Token
from payments.models.token import Brand, Sealed, TokenNotFound, TokenType, is_ours, new_token
from shared import crypto
from shared.errors import Rejected
from shared.http.card_numbers import luhn_holds

log = structlog.get_logger(__name__)

_PURPOSE = "card"
_NUMBER = re.compile(r"[0-9]{13,19}")
_CVC = re.compile(r"[0-9]{3,4}")
_MONTHS = range(1, 13)
_FIRST_YEAR, _LONGEST_VALIDITY_YEARS = 2000, 30
# Issuer ranges and lengths as the schemes publish them (ISO/IEC 7812); of two that fit, the first.
_BRANDS = (
    (Brand.VISA, re.compile(r"4"), {13, 16, 19}),
    (Brand.MASTERCARD, re.compile(r"5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720)"), {16}),
    (Brand.AMEX, re.compile(r"3[47]"), {15}),
    (Brand.DINERS, re.compile(r"3(0[0-5]|[689])"), {14, 16, 19}),
    (Brand.JCB, re.compile(r"35(2[89]|[3-8])"), {16, 17, 18, 19}),
    (Brand.RUPAY, re.compile(r"508|60(69|8)|652[12]|82"), {16}),
    (Brand.DISCOVER, re.compile(r"6(011|4[4-9]|5)"), {16, 17, 18, 19}),
    (Brand.UNIONPAY, re.compile(r"62|81"), {16, 17, 18, 19}),
    (Brand.MAESTRO, re.compile(r"5[06-9]|6"), {13, 14, 15, 16, 17, 18, 19}),
)
# Names that Stripe gives; what its library makes of a card in a browser, and what it keeps.
_STRIPES_OWN = re.compile(r"(pm_|tok_1)[A-Za-z0-9]{14,64}", re.ASCII)


class CardInvalid(Rejected):
    """This is not a card that can be charged."""


class UnknownToken(Rejected):
    """There is no such token for this payment method."""


@dataclass(frozen=True)
class TokenDetails:
    """What a payment may know, and show, of the token that pays for it."""

    method_type: str
    fingerprint: str
    """64 hexadecimal digits, the same for all of the merchant's tokens of one card or account."""
    brand: str = ""
    last4: str = ""
    wallet_provider: str = ""
    wallet_id: str = ""


def store_card(*, merchant_id: UUID, card: Mapping[str, Any], now: datetime) -> Token:
    """
    Seal a card: `number`, `expMonth`, `expYear`, and `cvc` and `holder` if given.

    Raises:
        CardInvalid: no card has this number, brand or security code, or it has expired.

    """
    _check_expiry(card["expMonth"], card["expYear"], now)
    if "cvc" in card and not _CVC.fullmatch(card["cvc"]):
        raise CardInvalid("A security code is 3 or 4 digits.")
    number, token = card["number"], new_token()
    brand = _brand_of(number)
    content = {"number": number} | ({"holder": card["holder"]} if "holder" in card else {})
    return Token.keep(
        _seal(merchant_id, token, TokenType.CARD, content),
        token=token,
        now=now,
        merchant_id=merchant_id,
        method_type=TokenType.CARD,
        brand=brand,
        last4=number[-4:],
        exp_month=card["expMonth"],
        exp_year=card["expYear"],
    )


def store_wallet(*, merchant_id: UUID, wallet: Mapping[str, Any], now: datetime) -> Token:
    """Seal a payer's account with a wallet: `provider` and `walletId`."""
    token = new_token()
    return Token.keep(
        _seal(merchant_id, token, TokenType.WALLET, wallet),
        token=token,
        now=now,
        merchant_id=merchant_id,
        method_type=TokenType.WALLET,
        wallet_provider=wallet["provider"],
    )


def instruments_of(payments: Sequence[Payment]) -> dict[UUID, Instrument]:
    """What these payments are paid with, by payment; one whose token was deleted is left out."""
    ours = {payment.method_token for payment in payments if is_ours(payment.method_token)}
    tokens = Token.objects.filter(deleted_at=None).in_bulk(list(ours)) if ours else {}
    found = {payment.pk: _instrument(payment, tokens) for payment in payments}
    return {payment_id: instrument for payment_id, instrument in found.items() if instrument}


def details_of(*, merchant_id: UUID, method_type: str, token: str) -> TokenDetails | None:
    """
    What stands behind a token that a payment of this type shall be paid with.

    None for a token of a processor's own, which is passed through as it is.

    Raises:
        UnknownToken: it is not the merchant's, was deleted or is of another type; or, in
            production, it is none that a real processor issued.

    """
    if not is_ours(token):
        if settings.IS_PRODUCTION and not _STRIPES_OWN.fullmatch(token):
            raise UnknownToken
        return None
    try:
        row = Token.objects.present(merchant_id=merchant_id, token=token)
    except TokenNotFound:
        raise UnknownToken from None
    if row.method_type != method_type:
        raise UnknownToken(f"This token is not of type {method_type}.")
    return _details(row)


def reseal(tokens: Sequence[Token]) -> list[Token]:
    """Seal and fingerprint these under the current keys, not saved; returns what did not open."""
    lost = []
    for token in tokens:
        if (content := _open(token)) is None:
            lost.append(token)
        else:
            token.reseal(_seal(token.merchant_id, token.pk, token.method_type, content))
    return lost


def current_keys() -> dict[str, str]:
    """The ids of the ring's keys that seal and that fingerprint now."""
    keys = crypto.ring().keys
    return {"sealing": keys[0][0], "fingerprinting": keys[-1][0]}


def _check_expiry(month: int, year: int, now: datetime) -> None:
    last_year = now.year + _LONGEST_VALIDITY_YEARS
    if month not in _MONTHS or not _FIRST_YEAR <= year <= last_year:
        raise CardInvalid("No card expires in such a month: send 1 to 12 and a year of 4 digits.")
    if (year, month) < (now.year, now.month):
        raise CardInvalid("The card has expired.")


def _brand_of(number: str) -> Brand:
    if not _NUMBER.fullmatch(number) or not luhn_holds(number):
        raise CardInvalid("The number is not a card number: 13 to 19 digits with a check digit.")
    for brand, prefix, lengths in _BRANDS:
        if prefix.match(number) and len(number) in lengths:
            return brand
    raise CardInvalid("The number is of no brand that we know.")


def _seal(merchant_id: UUID, token: str, method_type: str, content: Mapping[str, Any]) -> Sealed:
    keys = current_keys()
    return Sealed(
        sealed=crypto.seal(
            json.dumps(content).encode(), purpose=_PURPOSE, bound_to=_place(merchant_id, token)
        ),
        sealed_under=keys["sealing"],
        fingerprint=_fingerprint(merchant_id, method_type, content),
        fingerprinted_under=keys["fingerprinting"],
    )


def _fingerprint(merchant_id: UUID, method_type: str, content: Mapping[str, Any]) -> bytes:
    parts = [content["number"]] if method_type == TokenType.CARD else _account(content)
    message = json.dumps([str(merchant_id), method_type, *parts])
    return crypto.fingerprint(message.encode(), purpose="payment instrument")


def _account(wallet: Mapping[str, Any]) -> list[str]:
    return [wallet["provider"], wallet["walletId"]]


def _open(token: Token) -> dict[str, Any] | None:
    try:
        opened = crypto.unseal(
            bytes(token.sealed or b""),
            purpose=_PURPOSE,
            bound_to=_place(token.merchant_id, token.pk),
        )
    except crypto.DoesNotOpen:
        # Under a name that the log does not blank: operators have to find the row.
        log.error("a token does not open", row=token.pk)  # noqa: TRY400 - it would add nothing
        return None
    return dict(json.loads(opened))


def _place(merchant_id: UUID, token: str) -> str:
    return f"{merchant_id}|{token}"


def _instrument(payment: Payment, tokens: Mapping[str, Token]) -> Instrument | None:
    if payment.method_type == "NETBANKING":
        return Bank(payment.method_details.get("bankCode", ""))
    if not is_ours(payment.method_token):
        return ProcessorToken(payment.method_token)
    token = tokens.get(payment.method_token)
    is_theirs = token is not None and token.merchant_id == payment.merchant_id
    content = _open(token) if token is not None and is_theirs else None
    if token is None or content is None:
        log.error("a payment's token is gone", payment_id=str(payment.pk), row=payment.method_token)
        return None
    if token.method_type == TokenType.WALLET:
        return Wallet(*_account(content))
    return Card(content["number"], token.exp_month or 0, token.exp_year or 0)


def _details(token: Token) -> TokenDetails:
    is_wallet = token.method_type == TokenType.WALLET
    is_stale = token.fingerprinted_under != current_keys()["fingerprinting"]
    content = _open(token) if is_wallet or is_stale else {}
    if content is None:
        raise UnknownToken
    fingerprint = (
        _fingerprint(token.merchant_id, token.method_type, content)
        if is_stale
        else token.fingerprint
    )
    return TokenDetails(
        method_type=token.method_type,
        fingerprint=bytes(fingerprint).hex(),
        brand=token.brand,
        last4=token.last4,
        wallet_provider=token.wallet_provider,
        wallet_id=content.get("walletId", ""),
    )
