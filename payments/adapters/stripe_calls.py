"""Calls to Stripe: what each operation sends, how each is found again, and what answers mean."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import stripe
from django.conf import settings

from payments.adapters import strict
from payments.adapters.http_client import InDoubt, NotSent
from payments.adapters.stripe_intent import OPERATION, Intent, Refund, capture_key
from payments.adapters.stripe_library import (
    declined,
    doubt_of,
    error_code,
    outcome_of,
    plain,
    stripe_client,
)
from payments.domain.processor import (
    INSTRUMENT_NOT_TAKEN,
    Card,
    Instruction,
    Instrument,
    OperationKind,
    Outcome,
    OutcomeKind,
    ProcessorToken,
)
from shared import clock

PAGE_SIZE = 100
MAX_PAGES = 10
"""How far an inquiry reads one of Stripe's lists before it admits that it does not know."""
LOOK_BACK = timedelta(seconds=120)
"""How far Stripe's clock may be behind ours."""

_LAPSED = "redirect_expired"
_ABANDONED = "abandoned"
_UNEXPECTED_STATE = "payment_intent_unexpected_state"
_NOT_FOUND = Outcome(OutcomeKind.NOT_SENT, reason="not_found")


def send(instruction: Instruction) -> Outcome:
    """Carry out an operation at Stripe; its id is the idempotency key."""
    try:
        return _SEND[instruction.kind](instruction)
    except NotSent as failure:
        return Outcome(OutcomeKind.NOT_SENT, reason=failure.reason)
    except InDoubt as doubt:
        return Outcome(OutcomeKind.UNKNOWN, reason=doubt.reason)
    except strict.NotAsPublished:
        return Outcome(OutcomeKind.UNKNOWN, reason="unexpected_answer")
    except stripe.StripeError as refusal:
        return outcome_of(refusal)


def ask(instruction: Instruction) -> Outcome:
    """What Stripe has of an operation; no refusal and no silence says anything about it."""
    try:
        return _ASK[instruction.kind](instruction)
    except (NotSent, InDoubt) as failure:
        return Outcome(OutcomeKind.UNKNOWN, reason=failure.reason)
    except strict.NotAsPublished:
        return Outcome(OutcomeKind.UNKNOWN, reason="unexpected_answer")
    except stripe.StripeError as refusal:
        return doubt_of(refusal)


def _authorise(instruction: Instruction) -> Outcome:
    params: dict[str, Any] = {
        "amount": instruction.amount_minor,
        "currency": instruction.currency.lower(),
        "capture_method": "manual",
        "confirm": True,
        "payment_method_types": ["card"],
        "payment_method_options": {"card": {"request_multicapture": "if_available"}},
        "metadata": _names(instruction),
    }
    params |= _instrument(instruction.instrument)
    if instruction.return_url:
        params["return_url"] = instruction.return_url
    intent = _intent(_intents().create(_params(params), _key(instruction)))
    if not intent.is_about(instruction):
        raise InDoubt("unexpected_answer")
    return _held(intent, instruction)


def _capture(instruction: Instruction) -> Outcome:
    params: dict[str, Any] = {
        "amount_to_capture": instruction.amount_minor,
        "metadata": {capture_key(instruction.operation_id): str(instruction.amount_minor)},
    }
    if not instruction.is_final:
        params["final_capture"] = False
    reference = instruction.authorisation_reference
    return _captured(
        _intent(_intents().capture(reference, _params(params), _key(instruction))), instruction
    )


def _void(instruction: Instruction) -> Outcome:
    reference = instruction.authorisation_reference
    try:
        return _released(_intent(_intents().cancel(reference, {}, _key(instruction))), instruction)
    except stripe.InvalidRequestError as refusal:
        if error_code(refusal) == _UNEXPECTED_STATE and _retrieved(instruction).is_cancelled:
            return Outcome(OutcomeKind.APPROVED, reference)
        raise


def _refund(instruction: Instruction) -> Outcome:
    params = {
        "payment_intent": instruction.authorisation_reference,
        "amount": instruction.amount_minor,
        "metadata": _names(instruction),
    }
    answer = _client().v1.refunds.create(_params(params), _key(instruction))
    refund = Refund.read(plain(answer))
    if not refund.is_about(instruction):
        raise InDoubt("unexpected_answer")
    return _given_back(refund, instruction)


def _ask_hold(instruction: Instruction) -> Outcome:
    since = int((instruction.planned_at - LOOK_BACK).timestamp())
    for data in _pages(_intents().list, {"created": {"gte": since}}):
        intent = Intent.read(data)
        if intent.is_about(instruction):
            return _held(_given_up(intent), instruction)
    return _NOT_FOUND


def _ask_capture(instruction: Instruction) -> Outcome:
    intent = _retrieved(instruction)
    return _captured(intent, instruction) if intent.has_captured(instruction) else _NOT_FOUND


def _ask_void(instruction: Instruction) -> Outcome:
    intent = _retrieved(instruction)
    return _released(intent, instruction) if intent.is_cancelled else _NOT_FOUND


def _ask_refund(instruction: Instruction) -> Outcome:
    reference = instruction.authorisation_reference
    for data in _pages(_client().v1.refunds.list, {"payment_intent": reference}):
        refund = Refund.read(data)
        if refund.is_about(instruction):
            return _given_back(refund, instruction)
    return _NOT_FOUND


_SEND: dict[OperationKind, Callable[[Instruction], Outcome]] = {
    OperationKind.AUTHORISE: _authorise,
    OperationKind.CAPTURE: _capture,
    OperationKind.VOID: _void,
    OperationKind.REFUND: _refund,
}
_ASK: dict[OperationKind, Callable[[Instruction], Outcome]] = {
    OperationKind.AUTHORISE: _ask_hold,
    OperationKind.CAPTURE: _ask_capture,
    OperationKind.VOID: _ask_void,
    OperationKind.REFUND: _ask_refund,
}


def _held(intent: Intent, instruction: Instruction) -> Outcome:
    if intent.status == "requires_payment_method":
        return declined(intent.last_error)
    if intent.is_cancelled:
        reason = _LAPSED if intent.cancellation_reason == _ABANDONED else "canceled"
        return Outcome(OutcomeKind.DECLINED, intent.id, reason)
    intent.require_hold_of(instruction)
    # "succeeded": it was captured since, so it had been held.
    if intent.status in ("requires_capture", "succeeded"):
        return Outcome(OutcomeKind.APPROVED, intent.id)
    if intent.status in ("requires_action", "processing"):
        return Outcome(OutcomeKind.PENDING, intent.id, redirect=intent.redirect())
    raise InDoubt("unexpected_answer")


def _captured(intent: Intent, instruction: Instruction) -> Outcome:
    intent.require_capture_of(instruction)
    return Outcome(OutcomeKind.APPROVED, intent.charge)


def _released(intent: Intent, instruction: Instruction) -> Outcome:
    if not intent.is_cancelled or intent.currency != instruction.currency:
        raise InDoubt("unexpected_answer")
    return Outcome(OutcomeKind.APPROVED, intent.id)


def _given_back(refund: Refund, instruction: Instruction) -> Outcome:
    refund.require_amount_of(instruction)
    if refund.status == "succeeded":
        return Outcome(OutcomeKind.APPROVED, refund.id)
    if refund.status in ("pending", "requires_action"):
        return Outcome(OutcomeKind.PENDING, refund.id)
    if refund.status in ("failed", "canceled"):
        return Outcome(OutcomeKind.DECLINED, refund.id, refund.failure_reason)
    raise InDoubt("unexpected_answer")


def _given_up(intent: Intent) -> Intent:
    """
    Cancel an intent that waits for a payer who did not come in time.

    Stripe would let it wait for ever, and it could be authorised after everybody forgot it.
    """
    redirect = intent.redirect() if intent.status == "requires_action" else None
    if redirect is None or clock.now() <= redirect.expires_at:
        return intent
    return _intent(_intents().cancel(intent.id, {"cancellation_reason": _ABANDONED}))


def _pages(listing: Callable[[Any], Any], params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything in a list, up to a bound. Raises: InDoubt, beyond it."""
    after: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        page = plain(listing({**params, **after, "limit": PAGE_SIZE}))
        found = page.get("data")
        if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
            raise InDoubt("unexpected_answer")
        yield from found
        if not found or not page.get("has_more"):
            return
        after = {"starting_after": strict.identifier(found[-1].get("id"))}
    raise InDoubt("too_many_to_search")


def _instrument(instrument: Instrument | None) -> dict[str, Any]:
    match instrument:
        case ProcessorToken(token) if token.startswith("pm_"):
            return {"payment_method": token}
        case ProcessorToken(token):
            card: dict[str, Any] = {"token": token}
        case Card(number, exp_month, exp_year):
            card = {"number": number, "exp_month": exp_month, "exp_year": exp_year}
        case _:
            raise NotSent(INSTRUMENT_NOT_TAKEN)
    return {"payment_method_data": {"type": "card", "card": card}}


def _names(instruction: Instruction) -> dict[str, str]:
    return {
        OPERATION: str(instruction.operation_id),
        "payment_id": str(instruction.payment_id),
    }


def _retrieved(instruction: Instruction) -> Intent:
    return _intent(_intents().retrieve(instruction.authorisation_reference))


def _intent(answer: stripe.StripeObject) -> Intent:
    return Intent.read(plain(answer))


def _intents() -> Any:
    return _client().v1.payment_intents


def _client() -> stripe.StripeClient:
    return stripe_client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


def _key(instruction: Instruction) -> Any:
    return {"idempotency_key": str(instruction.operation_id)}


def _params(params: dict[str, Any]) -> Any:
    return params
