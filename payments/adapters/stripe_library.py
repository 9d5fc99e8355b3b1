"""
Stripe's official library over our bounded HTTP, and what its refusals mean.

Only `stripe_calls` imports this, and only when Stripe is first called: the library is optional and
takes half a second to import.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import stripe
from stripe import _util

from payments.adapters import strict
from payments.adapters.http_client import InDoubt, client_for
from payments.domain.processor import CallbackNotAuthentic, Outcome, OutcomeKind

RETRYABLE = frozenset(
    {"processing_error", "issuer_not_available", "try_again_later", "reenter_transaction"}
)
"""Decline codes after which the same card may be asked again, or through somebody else."""
CALLBACK_WINDOW_SECONDS = 300

# At its debug level the library writes whole request bodies, card numbers included, to its logger
# and, with STRIPE_LOG in the environment, to stderr.
logging.getLogger("stripe").setLevel(logging.WARNING)
_util.STRIPE_LOG = None


@lru_cache(maxsize=4)
def stripe_client(secret_key: str, api_base: str) -> stripe.StripeClient:
    """The library's client; it sends nothing twice and raises NotSent and InDoubt, too."""
    base = api_base.rstrip("/") or stripe.DEFAULT_API_BASE
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": base},
        max_network_retries=0,
        http_client=_Transport(base),
    )


class _Transport(stripe.HTTPClient):
    """Our HTTP client as the library's; what may have arrived stays in doubt all the way up."""

    name = "payflow"

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Raises: NotSent, InDoubt; the library lets both pass."""
        # Looked up every time: after a fork it must be another one.
        client = client_for(self._base, stripe.ca_bundle_path)
        body = post_data.encode() if isinstance(post_data, str) else post_data
        path = url.removeprefix(self._base)
        reply = client.exchange(method.upper(), path, headers=headers or {}, body=body)
        answer = reply.json()
        if reply.status >= HTTPStatus.BAD_REQUEST and not isinstance(answer.get("error"), dict):
            raise InDoubt(f"http_{reply.status}")
        return reply.content.decode(), reply.status, reply.headers

    def close(self) -> None:
        """Nothing to close: connections belong to the process."""


def outcome_of(refusal: stripe.StripeError) -> Outcome:
    """What a refusal means for something that was sent."""
    code = error_code(refusal)
    match refusal:
        case stripe.CardError():
            return declined(_error(refusal))
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Outcome(OutcomeKind.NOT_SENT, reason="processor_refused_credentials")
        case stripe.RateLimitError() if code != "lock_timeout":
            return Outcome(OutcomeKind.NOT_SENT, reason="rate_limited")
        case stripe.IdempotencyError():
            # Something is booked under our key: not done would be a guess.
            return Outcome(OutcomeKind.UNKNOWN, reason="key_reused")
        case stripe.InvalidRequestError():
            return Outcome(OutcomeKind.DECLINED, reason=code or "invalid_request")
    return doubt_of(refusal)


def doubt_of(refusal: stripe.StripeError) -> Outcome:
    """What a refusal means that says nothing about the operation."""
    reason = error_code(refusal) or f"http_{refusal.http_status}"
    return Outcome(OutcomeKind.UNKNOWN, reason=reason)


def declined(error: Mapping[str, Any]) -> Outcome:
    """A decline, by the issuer's code if there is one."""
    reason = strict.code(error.get("decline_code") or error.get("code"), "card_declined")
    return Outcome(OutcomeKind.DECLINED, reason=reason, is_retryable=reason in RETRYABLE)


def error_code(refusal: stripe.StripeError) -> str:
    """Stripe's code of a refusal, or the empty text."""
    return strict.code(_error(refusal).get("code"), "")


def require_signature(body: bytes, header: str, secret: str) -> None:
    """Refuse a webhook that Stripe did not sign just now. Raises: CallbackNotAuthentic."""
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, CALLBACK_WINDOW_SECONDS)
    except (stripe.SignatureVerificationError, ValueError, TypeError, OverflowError):
        raise CallbackNotAuthentic from None


def plain(answer: stripe.StripeObject) -> Mapping[str, Any]:
    """The JSON object that one of the library's objects was made of."""
    response: Any = answer.last_response
    return strict.mapping(response.data if response is not None else None)


def _error(refusal: stripe.StripeError) -> Mapping[str, Any]:
    body: Any = refusal.json_body
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}
