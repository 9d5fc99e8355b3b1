"""Storing a card or a wallet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from payments import vault
from payments.models import Token
from shared import db


def store_token(
    *,
    merchant_id: UUID,
    card: Mapping[str, Any] | None = None,
    wallet: Mapping[str, Any] | None = None,
    now: datetime,
) -> Token:
    """
    Seal one card or one wallet and return the token that stands for it from now on.

    `card` has `number`, `expMonth`, `expYear` and perhaps `cvc` and `holder`; `wallet` has
    `provider` and `walletId`. The security code is looked at and forgotten.

    Raises:
        CardInvalid: no card has this number, brand or security code, or it has expired.

    """
    with db.transaction():
        if card is not None:
            return vault.store_card(merchant_id=merchant_id, card=card, now=now)
        return vault.store_wallet(merchant_id=merchant_id, wallet=wallet or {}, now=now)
