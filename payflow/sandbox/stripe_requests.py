"""Stripe's writing requests as orders."""

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from payflow.sandbox import stripe_forms as forms
from payflow.sandbox import wire
from payflow.sandbox.acquirer import REDIRECT_SECONDS, STRIPE
from payflow.sandbox.book import Book
from payflow.sandbox.callbacks import is_web_address
from payflow.sandbox.order import Authorisation, Kind, Order
from payflow.sandbox.server import Request
from payflow.sandbox.stripe_methods import read_method

CHALLENGE_BANK = "Sandbox 3-D Secure"

_CURRENCY = re.compile(r"[a-z]{3}")
_LONGEST_KEY = 255
_REFERENCES = ("payment_id", "paymentId", "merchant_reference", "merchantReference")
_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
_CREATE = frozenset(
    {
        "amount", "currency", "capture_method", "confirm", "payment_method", "payment_method_data",
        "metadata", "automatic_payment_methods", "return_url", "description", "expand",
        "payment_method_types", "payment_method_options", "statement_descriptor_suffix",
        "off_session", "transfer_group", "error_on_requires_action", "use_stripe_sdk",
    }
)  # fmt: skip
_FOLLOW_UPS = {
    Kind.CAPTURE: frozenset(
        {"amount_to_capture", "final_capture", "metadata", "expand", "statement_descriptor_suffix"}
    ),
    Kind.VOID: frozenset({"cancellation_reason", "expand"}),
}
_REFUND = frozenset({"payment_intent", "amount", "metadata", "reason", "expand"})


class Requests:
    """Reads what a client asks to be done; everything raises Refused for what Stripe refuses."""

    def __init__(self, book: Book, secret: bytes) -> None:
        self._book = book
        self._secret = secret

    def create(self, request: Request) -> Order:
        """`POST /v1/payment_intents`, confirmed at once and captured later."""
        form = forms.read_form(request.body)
        forms.check_known(form, _CREATE)
        amount = forms.amount(form, "amount")
        if amount < 1:
            raise forms.invalid("Invalid positive integer", "parameter_invalid_integer", "amount")
        _check_supported(form)
        method = read_method(form)
        metadata = forms.metadata(form)
        details: dict[str, Any] = {
            "metadata": metadata,
            "payment_method": method.id,
            "card": method.card,
            "automatic_payment_methods": _automatic(form),
        }
        if description := forms.text(form, "description", ""):
            details["description"] = description
        return Order(
            acquirer=STRIPE,
            kind=Kind.AUTHORISE,
            key=_key(request),
            fingerprint=self._fingerprint(request, form),
            amount_minor=amount,
            currency=_currency(form),
            merchant_reference=_merchant_reference(metadata),
            trigger=method.trigger,
            return_url=_return_url(form),
            bank=CHALLENGE_BANK if method.is_challenged else "",
            redirect_seconds=REDIRECT_SECONDS if method.is_challenged else 0,
            details=details,
        )

    def follow_up(self, request: Request, name: str, kind: Kind) -> Order:
        """`POST /v1/payment_intents/{id}/capture` and `…/cancel`."""
        form = forms.read_form(request.body)
        forms.check_known(form, _FOLLOW_UPS[kind])
        hold = self._hold(name, "intent")
        if kind is Kind.VOID:
            return self._void(request, form, hold, _cancellation(form))
        is_final = forms.flag(form, "final_capture", default=True)
        amount = forms.amount(form, "amount_to_capture", hold.remaining_minor)
        notes = {"hold": {"metadata": forms.metadata(form)}}
        if not amount and is_final and hold.remaining_minor:
            return self._void(request, form, hold, {})
        if not amount and hold.remaining_minor:
            raise forms.invalid(
                "Invalid integer.", "parameter_invalid_integer", "amount_to_capture"
            )
        return Order(
            acquirer=STRIPE,
            kind=Kind.CAPTURE,
            key=_key(request),
            fingerprint=self._fingerprint(request, form),
            amount_minor=amount,
            authorisation=hold.reference,
            is_final=is_final,
            details=notes,
        )

    def refund(self, request: Request) -> Order:
        """`POST /v1/refunds`; without an amount, of what is left."""
        form = forms.read_form(request.body)
        forms.check_known(form, _REFUND)
        hold = self._hold(forms.text(form, "payment_intent"), "payment_intent")
        left = hold.captured_minor - hold.refunded_minor
        # Nothing left is for the book to refuse, so one unit is asked for.
        amount = forms.amount(form, "amount", max(left, 1))
        if not amount:
            raise forms.invalid("Invalid positive integer", "parameter_invalid_integer", "amount")
        return Order(
            acquirer=STRIPE,
            kind=Kind.REFUND,
            key=_key(request),
            fingerprint=self._fingerprint(request, form),
            amount_minor=amount,
            authorisation=hold.reference,
            details={"metadata": forms.metadata(form)},
        )

    # Steps -------------------------------------------------------------------------------------

    def _void(
        self, request: Request, form: forms.Form, hold: Authorisation, notes: Mapping[str, Any]
    ) -> Order:
        return Order(
            acquirer=STRIPE,
            kind=Kind.VOID,
            key=_key(request),
            fingerprint=self._fingerprint(request, form),
            authorisation=hold.reference,
            details={"hold": notes},
            cancels_unheld=True,
        )

    def _hold(self, name: str, param: str) -> Authorisation:
        hold = self._book.authorisation(STRIPE, name)
        if hold is None:
            raise forms.missing("payment_intent", param)
        return hold

    def _fingerprint(self, request: Request, form: forms.Form) -> str:
        return wire.fingerprint(self._secret, request.path, form)


def _check_supported(form: forms.Form) -> None:
    if forms.text(form, "capture_method", "automatic") != "manual":
        raise forms.invalid("This sandbox holds first: manual only.", param="capture_method")
    if not forms.flag(form, "confirm", default=False):
        raise forms.invalid("This sandbox confirms at once: true only.", param="confirm")


def _currency(form: forms.Form) -> str:
    currency = forms.text(form, "currency")
    if not _CURRENCY.fullmatch(currency):
        raise forms.invalid("Invalid currency.", param="currency")
    return currency.upper()


def _automatic(form: forms.Form) -> dict[str, Any] | None:
    if "automatic_payment_methods" not in form:
        return None
    given = forms.section(form, "automatic_payment_methods")
    return {
        "allow_redirects": forms.text(given, "allow_redirects", "always"),
        "enabled": forms.flag(given, "enabled", default=True),
    }


def _return_url(form: forms.Form) -> str:
    url = forms.text(form, "return_url", "")
    if url and not is_web_address(url):
        raise forms.invalid("Not a valid URL.", "url_invalid", "return_url")
    return url


def _cancellation(form: forms.Form) -> dict[str, Any]:
    reason = forms.text(form, "cancellation_reason", "")
    if reason and reason not in _REASONS:
        raise forms.invalid("Invalid cancellation_reason.", param="cancellation_reason")
    return {"canceled_at": int(time.time()), "cancellation_reason": reason or None}


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key") or f"none_{os.urandom(12).hex()}"
    if len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise forms.invalid("Invalid Idempotency-Key.")
    return key


def _merchant_reference(metadata: Mapping[str, str]) -> str:
    return next((metadata[name] for name in _REFERENCES if metadata.get(name)), "")
