"""Accepting a payment."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from payments.models import Payment
from payments.queries import IdempotencyKeyExpired
from payments.use_cases.look_up_token import look_up_token
from payments.vault import TokenDetails
from shared import db
from shared.event_bus import publish
from shared.events.payments import PaymentTransactionInitiated


@dataclass(frozen=True)
class Terms:
    """What a merchant asks for. `amount_minor` in minor units of `currency`."""

    merchant_id: UUID
    merchant_name: str
    merchant_email: str
    payee_account_id: UUID
    idempotency_key: str
    amount_minor: int
    currency: str
    method_type: str
    method_token: str
    description: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    method_details: dict[str, Any] = field(default_factory=dict)
    captures_at_once: bool = False
    capture_before: datetime | None = None
    return_url: str = ""


def initiate_payment(*, terms: Terms, now: datetime) -> Payment:
    """
    Accept a payment as PENDING and publish Payment.Transaction.Initiated.

    Raises:
        UnknownToken: see `look_up_token`.
        IdempotencyKeyExpired: the merchant used this key for a payment before.

    """
    details = _details_of(terms)
    shown = terms.method_details | (_shown(details) if details else {})
    try:
        with db.transaction():
            payment = Payment.initiate(now=now, **(vars(terms) | {"method_details": shown}))
            publish(_initiated(payment, details.fingerprint if details else "", now))
    except IntegrityError as error:
        if db.violated_constraint(error) == "uq_payment_idempotency_key":
            raise IdempotencyKeyExpired from None
        raise
    return payment


def _details_of(terms: Terms) -> TokenDetails | None:
    if not terms.method_token:
        return None
    return look_up_token(
        merchant_id=terms.merchant_id, method_type=terms.method_type, token=terms.method_token
    )


def _shown(details: TokenDetails) -> dict[str, Any]:
    if details.wallet_provider:
        return {"wallet": {"provider": details.wallet_provider, "walletId": details.wallet_id}}
    return {"brand": details.brand, "last4": details.last4}


def _initiated(payment: Payment, fingerprint: str, now: datetime) -> PaymentTransactionInitiated:
    return PaymentTransactionInitiated(
        **payment.facts(now),
        payment_method_type=payment.method_type,
        payment_method_token=payment.method_token or None,
        instrument_fingerprint=fingerprint,
    )
