"""Which of Stripe's errors a declined operation is."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from payflow.sandbox.decisions import REFUSALS
from payflow.sandbox.order import Authorisation, Kind, Operation, Status
from payflow.sandbox.stripe_forms import Problem
from payflow.sandbox.stripe_objects import charge_id, decline, declined

_VERBS = {Kind.CAPTURE: "captured", Kind.VOID: "canceled", Kind.REFUND: "refunded"}


def problem_of(
    operation: Operation, hold: Authorisation, current: Mapping[str, Any]
) -> Problem | None:
    """This will answer the error, or None where an object is the answer."""
    if operation.status is not Status.DECLINED:
        return None
    if operation.kind is Kind.AUTHORISE:
        return replace(decline(hold), payment_intent=current)
    if operation.reason in REFUSALS:
        return _refusal(operation, hold, current)
    # A refund that the issuer declines is an object in the state `failed`, not an error.
    if operation.kind is Kind.REFUND:
        return None
    return replace(declined(operation.reason, charge_id(hold)), payment_intent=current)


def _refusal(operation: Operation, hold: Authorisation, current: Mapping[str, Any]) -> Problem:
    problem = Problem(HTTPStatus.BAD_REQUEST, "")
    if operation.reason == "amount_exceeds_authorisation":
        message = "The amount to capture is greater than the amount that can be captured."
        return replace(problem, message=message, code="amount_too_large", param="amount_to_capture")
    if operation.reason == "amount_exceeds_captured":
        if hold.refunded_minor >= hold.captured_minor:
            message = f"Charge {charge_id(hold)} has already been refunded."
            return replace(problem, message=message, code="charge_already_refunded")
        message = "Refund amount is greater than unrefunded amount on charge."
        return replace(problem, message=message, code="amount_too_large", param="amount")
    message = (
        f"This PaymentIntent could not be {_VERBS[operation.kind]} because it has a status of"
        f" {current['status']}."
    )
    return replace(
        problem, message=message, code="payment_intent_unexpected_state", payment_intent=current
    )
