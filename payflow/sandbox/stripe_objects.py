"""Stripe's objects, with the fields and shapes of its published samples."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from payflow.sandbox.order import Authorisation, Operation, Status
from payflow.sandbox.stripe_forms import Problem

API_VERSION = "2026-10-29.dahlia"

# Fields that the samples have and this face never fills.
_EMPTY_INTENT = dict.fromkeys(
    (
        "application", "application_fee_amount", "customer", "customer_account",
        "excluded_payment_method_types", "on_behalf_of", "payment_method_configuration_details",
        "processing", "receipt_email", "review", "setup_future_usage", "shipping", "source",
        "statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group",
    )
)  # fmt: skip
_EMPTY_CHARGE = dict.fromkeys(
    (
        "application", "application_fee", "application_fee_amount", "balance_transaction",
        "customer", "failure_balance_transaction", "on_behalf_of", "receipt_email",
        "receipt_number", "receipt_url", "review", "shipping", "source", "source_transfer",
        "statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group",
    )
)  # fmt: skip
_EMPTY_REFUND = dict.fromkeys(
    (
        "balance_transaction", "reason", "receipt_number", "source_transfer_reversal",
        "transfer_reversal",
    )
)  # fmt: skip

_DECLINE_CODES = {
    "do_not_honor": "generic_decline",
    "insufficient_funds": "insufficient_funds",
    "issuer_unavailable": "issuer_not_available",
}
_UNAUTHENTICATED = frozenset({"declined_by_payer", "redirect_expired"})


def status_of(hold: Authorisation, *, is_capturing: bool = False) -> str:
    """This will name the state of a payment intent."""
    if hold.status is Status.PENDING:
        return "requires_action" if hold.expires_at else "processing"
    if hold.is_voided:
        return "canceled" if json.loads(hold.details).get("canceled_at") else "succeeded"
    if hold.status is Status.DECLINED:
        return "requires_payment_method"
    if is_capturing:
        return "processing"
    if hold.captured_minor and not hold.remaining_minor:
        return "succeeded"
    return "requires_capture"


def charge_id(hold: Authorisation) -> str:
    """The charge of a payment intent: there is one, under the same name."""
    return hold.reference.replace("pi_", "ch_", 1)


def client_secret(hold: Authorisation, secret: bytes) -> str:
    """What a browser may confirm the intent with; the same each time."""
    digest = hashlib.blake2b(hold.reference.encode(), key=secret[:64], digest_size=12)
    return f"{hold.reference}_secret_{digest.hexdigest()}"


def intent(
    hold: Authorisation, secret: bytes, host: str, *, is_capturing: bool = False
) -> dict[str, Any]:
    """This will write a PaymentIntent."""
    details = json.loads(hold.details)
    is_declined = hold.status is Status.DECLINED and not hold.is_voided
    return _EMPTY_INTENT | {
        "id": hold.reference,
        "object": "payment_intent",
        "amount": hold.amount_minor,
        "amount_capturable": 0 if is_capturing else hold.remaining_minor,
        "amount_details": {"tip": {}},
        "amount_received": hold.captured_minor,
        "automatic_payment_methods": details.get("automatic_payment_methods"),
        "canceled_at": details.get("canceled_at"),
        "cancellation_reason": details.get("cancellation_reason"),
        "capture_method": "manual",
        "client_secret": client_secret(hold, secret),
        "confirmation_method": "automatic",
        "created": int(hold.created_at),
        "currency": hold.currency.lower(),
        "description": details.get("description"),
        "last_payment_error": decline(hold).content["error"] if is_declined else None,
        "latest_charge": None if hold.status is Status.PENDING else charge_id(hold),
        "livemode": False,
        "metadata": details.get("metadata", {}),
        "next_action": _next_action(hold, host),
        "payment_method": None if is_declined else details.get("payment_method"),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": status_of(hold, is_capturing=is_capturing),
    }


def charge(hold: Authorisation) -> dict[str, Any]:
    """This will write the Charge of an intent."""
    details = json.loads(hold.details)
    is_declined = hold.status is Status.DECLINED
    is_refunded = hold.captured_minor > 0 and hold.refunded_minor >= hold.captured_minor
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return _EMPTY_CHARGE | {
        "id": charge_id(hold),
        "object": "charge",
        "amount": hold.amount_minor,
        "amount_captured": hold.captured_minor,
        "amount_refunded": hold.refunded_minor,
        "billing_details": {"address": address, "email": None, "name": None, "phone": None},
        "calculated_statement_descriptor": "SANDBOX",
        "captured": hold.captured_minor > 0,
        "created": int(hold.created_at),
        "currency": hold.currency.lower(),
        "description": details.get("description"),
        "disputed": False,
        "failure_code": "card_declined" if is_declined else None,
        "failure_message": "Your card was declined." if is_declined else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": details.get("metadata", {}),
        "outcome": _outcome(is_declined=is_declined),
        "paid": not is_declined,
        "payment_intent": hold.reference,
        "payment_method": details.get("payment_method"),
        "payment_method_details": {"card": details.get("card", {}), "type": "card"},
        "refunded": is_refunded,
        "status": "failed" if is_declined else "succeeded",
    }


def refund(operation: Operation) -> dict[str, Any]:
    """This will write a Refund."""
    statuses = {
        Status.APPROVED: "succeeded",
        Status.PENDING: "pending",
        Status.DECLINED: "failed",
    }
    content = _EMPTY_REFUND | {
        "id": operation.reference,
        "object": "refund",
        "amount": operation.amount_minor,
        "charge": operation.authorisation.replace("pi_", "ch_", 1),
        "created": int(operation.created_at),
        "currency": operation.currency.lower(),
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": json.loads(operation.details).get("metadata", {}),
        "payment_intent": operation.authorisation,
        "status": statuses[operation.status],
    }
    if operation.status is Status.DECLINED:
        content["failure_reason"] = "declined"
    return content


def listing(url: str, objects: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """This will write a page of a list."""
    return {"object": "list", "url": url, "has_more": has_more, "data": list(objects)}


def event(kind: str, about: Mapping[str, Any], key: str, at: float) -> dict[str, Any]:
    """This will write an Event."""
    return {
        "id": f"evt_{os.urandom(12).hex()}",
        "object": "event",
        "api_version": API_VERSION,
        "created": int(at),
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": f"req_{os.urandom(7).hex()}", "idempotency_key": key},
        "type": kind,
    }


def decline(hold: Authorisation) -> Problem:
    """This will say why an authorisation was declined; 402."""
    if hold.reason in _UNAUTHENTICATED:
        message = "The provided PaymentMethod has failed authentication."
        code = "payment_intent_authentication_failure"
        return Problem(HTTPStatus.PAYMENT_REQUIRED, message, "card_error", code)
    return declined(hold.reason, charge_id(hold))


def declined(reason: str, charge: str) -> Problem:
    """This will say that a card was declined, by a reason of the book; 402."""
    code = _DECLINE_CODES.get(reason, "generic_decline")
    message = "Your card was declined."
    if reason == "insufficient_funds":
        message = "Your card has insufficient funds."
    return Problem(
        HTTPStatus.PAYMENT_REQUIRED,
        message,
        type="card_error",
        code="card_declined",
        decline_code=code,
        charge=charge,
    )


def _next_action(hold: Authorisation, host: str) -> dict[str, Any] | None:
    if hold.status is not Status.PENDING or not hold.expires_at:
        return None
    redirect = {"return_url": hold.return_url, "url": f"http://{host}/bank/{hold.reference}"}
    return {"redirect_to_url": redirect, "type": "redirect_to_url"}


def _outcome(*, is_declined: bool) -> dict[str, Any]:
    if is_declined:
        status, kind, message = "declined_by_network", "issuer_declined", "The bank declined."
    else:
        status, kind, message = "approved_by_network", "authorized", "Payment complete."
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": "generic_decline" if is_declined else None,
        "risk_level": "normal",
        "seller_message": message,
        "type": kind,
    }
