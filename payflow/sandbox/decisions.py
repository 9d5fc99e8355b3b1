"""What an acquirer decides: a pure function of what is asked and what was held before."""

from dataclasses import dataclass, replace

from payflow.sandbox.faults import Fault
from payflow.sandbox.order import Authorisation, Kind, Order, Status

REFUSALS = frozenset(
    {
        "authorisation_not_found",
        "currency_mismatch",
        "amount_exceeds_authorisation",
        "already_captured",
        "already_voided",
        "not_captured",
        "amount_exceeds_captured",
    }
)
"""Reasons of declines that a careful client never meets: it has failed to guard its own books."""

_RETRYABLE_SENDS = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided; the amount is in minor units."""

    status: Status
    amount_minor: int
    reason: str = ""
    is_retryable: bool = False


def decide(
    order: Order, authorisation: Authorisation | None, fault: Fault | None, send_number: int
) -> Decision:
    """This will decide an order that is not decided yet; `authorisation` is what it is about."""
    asked = Decision(Status.APPROVED, order.amount_minor)
    if order.kind is not Kind.AUTHORISE:
        if reason := _refusal(order, authorisation):
            return replace(asked, status=Status.DECLINED, reason=reason)
        if order.kind is Kind.VOID and authorisation is not None:
            asked = replace(asked, amount_minor=authorisation.remaining_minor)
    decision = _as_triggered(asked, fault, send_number)
    if order.redirect_seconds and decision.status is Status.APPROVED:
        return replace(decision, status=Status.PENDING)
    return decision


def change(authorisation: Authorisation, order: Order, decision: Decision) -> Authorisation:
    """This will answer the hold after the decision; what is PENDING counts as taken already."""
    if decision.status is Status.DECLINED:
        return authorisation
    amount = decision.amount_minor
    if order.kind is Kind.CAPTURE:
        captured = authorisation.captured_minor + amount
        return replace(authorisation, captured_minor=captured, is_final=order.is_final)
    if order.kind is Kind.VOID:
        return replace(authorisation, is_voided=True)
    return replace(authorisation, refunded_minor=authorisation.refunded_minor + amount)


def _as_triggered(asked: Decision, fault: Fault | None, send_number: int) -> Decision:
    declined = replace(asked, status=Status.DECLINED)
    unavailable = replace(declined, reason="issuer_unavailable", is_retryable=True)
    decisions = {
        Fault.DECLINED: replace(declined, reason="do_not_honor"),
        Fault.INSUFFICIENT_FUNDS: replace(declined, reason="insufficient_funds"),
        Fault.RETRYABLE: unavailable if send_number <= _RETRYABLE_SENDS else asked,
        Fault.ALWAYS_RETRYABLE: unavailable,
        Fault.PENDING: replace(asked, status=Status.PENDING),
        Fault.WRONG_CHARGE: replace(asked, amount_minor=asked.amount_minor + 1),
    }
    return decisions.get(fault, asked) if fault is not None else asked


def _refusal(order: Order, authorisation: Authorisation | None) -> str:
    if authorisation is None or authorisation.status is not Status.APPROVED:
        return _refusal_to_cancel(order, authorisation)
    if order.currency and order.currency != authorisation.currency:
        return "currency_mismatch"
    if order.kind is Kind.REFUND:
        return _refusal_to_refund(order, authorisation)
    return _refusal_to_use(order, authorisation)


def _refusal_to_cancel(order: Order, authorisation: Authorisation | None) -> str:
    if authorisation is None or not order.cancels_unheld:
        return "authorisation_not_found"
    is_open = authorisation.status is Status.DECLINED and not authorisation.is_voided
    return "" if is_open else "authorisation_not_found"


def _refusal_to_use(order: Order, authorisation: Authorisation) -> str:
    remaining = authorisation.remaining_minor
    if authorisation.is_voided:
        return "already_voided"
    if authorisation.is_final or (order.kind is Kind.VOID and not remaining):
        return "already_captured"
    if order.kind is Kind.CAPTURE and order.amount_minor > remaining:
        return "amount_exceeds_authorisation"
    return ""


def _refusal_to_refund(order: Order, authorisation: Authorisation) -> str:
    if not authorisation.captured_minor:
        return "not_captured"
    if order.amount_minor > authorisation.captured_minor - authorisation.refunded_minor:
        return "amount_exceeds_captured"
    return ""
