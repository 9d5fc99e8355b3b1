"""Which of Stripe's webhook events a decision causes."""

from collections.abc import Mapping
from typing import Any

from payflow.sandbox.order import Authorisation, Kind, Operation, Status
from payflow.sandbox.stripe_objects import charge, event


def events_of(
    operation: Operation, hold: Authorisation, current: Mapping[str, Any], at: float
) -> list[dict[str, Any]]:
    """This will answer the events, with the objects as they are now; none while it is pending."""
    name = _name(operation, current)
    if not name:
        return []
    about = charge(hold) if name == "charge.refunded" else current
    return [event(name, about, operation.key, at)]


def _name(operation: Operation, current: Mapping[str, Any]) -> str:
    if operation.kind is Kind.AUTHORISE:
        if operation.status is Status.DECLINED:
            is_abandoned = operation.reason == "abandoned"
            return "" if is_abandoned else "payment_intent.payment_failed"
        return "payment_intent.amount_capturable_updated"
    if operation.status is not Status.APPROVED:
        return ""
    if operation.kind is Kind.REFUND:
        return "charge.refunded"
    names = {
        "succeeded": "payment_intent.succeeded",
        "canceled": "payment_intent.canceled",
    }
    return names.get(current["status"], "payment_intent.amount_capturable_updated")
