"""What the outcome of one call means for its payment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from payments.adapters.registry import configured_names
from payments.domain import announcements
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import (
    LAPSED,
    RESOLVED_BY_PEOPLE,
    UNDECIDED,
    OperationKind,
    Outcome,
    OutcomeKind,
)
from payments.models import Operation, Payment, Purpose, Route, Verdict
from shared import clock
from shared.errors import DomainError
from shared.events.payments import (
    PaymentEvent,
    PaymentTransactionAuthorised,
    PaymentTransactionDeclined,
    PaymentTransactionFailed,
)

UNREACHABLE = "processor_unreachable"

log = structlog.get_logger(__name__)


@dataclass
class Consequences:
    """What is to be published and which calls are to be made."""

    events: list[PaymentEvent] = field(default_factory=list)
    planned: list[Operation] = field(default_factory=list)

    def __add__(self, other: Consequences) -> Consequences:
        """Both, in this order."""
        return Consequences(self.events + other.events, self.planned + other.planned)


def draw_consequences(
    *, payment: Payment, operation: Operation, outcome: Outcome, now: datetime
) -> Consequences:
    """
    Move a payment on, or give back what was reserved, after an operation took its outcome.

    Changes the payment and sometimes the operation, writes and publishes nothing.
    """
    if operation.purpose == Purpose.REVERSAL:
        if operation.is_parked:
            log.error("a late success could not be undone", operation=str(operation.pk))
        return Consequences()
    if operation.is_late_success:
        return _book_late(payment, operation, now)
    if operation.kind == OperationKind.AUTHORISE:
        return _decide(payment, operation, outcome, now)
    if operation.verdict == Verdict.APPROVED:
        return _DONE[OperationKind(operation.kind)](payment, operation, now)
    # A verdict that stands since before is a late look, and found what was known.
    if operation.verdict and not operation.late_looks:
        return _UNDONE[OperationKind(operation.kind)](payment, operation, now)
    return Consequences()


# Authorisations


def _decide(
    payment: Payment, operation: Operation, outcome: Outcome, now: datetime
) -> Consequences:
    is_approved = operation.verdict == Verdict.APPROVED
    if not payment.awaits_processor:
        reversal = [Operation.to_reverse(operation, payment)] if is_approved else []
        return Consequences(planned=reversal)
    if is_approved:
        return _authorise(payment, operation, now)
    if operation.outcome not in UNDECIDED:
        return _decide_against(payment, operation, now)
    if outcome.redirect:
        payment.send_payer_to(outcome.redirect, now=now)
    return Consequences()


def _decide_against(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    if payment.cancel_requested_at and operation.verdict != Verdict.DECLINED:
        operation.give_up("cancelled", now=now)
        return _fail(payment, "cancelled", now)
    if operation.may_go_elsewhere and (other := _elsewhere(payment, operation)):
        operation.pass_on(now=now)
        return Consequences(planned=[other])
    if operation.verdict == Verdict.FAILED or operation.reason in LAPSED:
        return _fail(payment, _failure_reason(operation), now)
    if operation.verdict == Verdict.DECLINED:
        payment.decline(reason=operation.reason, now=now)
        event = PaymentTransactionDeclined(**payment.facts(now), reason=operation.reason)
        return Consequences(events=[event])
    return Consequences()


def _authorise(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    reference = operation.processor_reference
    payment.authorise(processor=operation.processor, reference=reference, now=now)
    event = PaymentTransactionAuthorised(
        **payment.facts(now),
        processor=operation.processor,
        processor_reference=reference,
        capture_before=clock.iso(payment.capture_before or now),
    )
    return Consequences([event], _next_calls(payment, now))


def _next_calls(payment: Payment, now: datetime) -> list[Operation]:
    if payment.cancel_requested_at:
        return [Operation.to_release(payment, purpose=Purpose.CANCEL, now=now)]
    # Who decided late may have decided after the end of the hold: then there is nothing to take.
    if payment.captures_at_once and payment.can_be_captured(now):
        return [Operation.to_capture_at_once(payment, now=now)]
    return []


def _elsewhere(payment: Payment, operation: Operation) -> Operation | None:
    asked = Operation.objects.filter(payment=payment, kind=OperationKind.AUTHORISE)
    other = Route.objects.table().next_processor(
        payment.method_type,
        payment.currency,
        usable=configured_names(),
        tried=set(asked.values_list("processor", flat=True)),
    )
    if other is None or operation.cause_event_id is None:
        return None
    return Operation.to_authorise(payment, processor=other, cause_event_id=operation.cause_event_id)


def _failure_reason(operation: Operation) -> str:
    is_unsent = operation.outcome == OutcomeKind.NOT_SENT
    return UNREACHABLE if is_unsent and operation.reason != RESOLVED_BY_PEOPLE else operation.reason


def _fail(payment: Payment, reason: str, now: datetime) -> Consequences:
    payment.fail(reason=reason, now=now)
    return Consequences([PaymentTransactionFailed(**payment.facts(now), reason=reason)])


# What was done


def _capture(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    amount_minor, is_final = operation.amount_minor, operation.is_final
    released_minor = payment.capture(amount_minor, is_final=is_final, now=now)
    event = announcements.captured(
        _facts(payment, operation, now),
        operation_id=operation.pk,
        captured_minor=amount_minor,
        total_minor=payment.captured_minor,
        released_minor=released_minor,
        is_final=is_final,
    )
    return Consequences([event])


def _release(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    is_expiry = operation.purpose == Purpose.EXPIRY
    ended_as = PaymentStatus.EXPIRED if is_expiry else PaymentStatus.VOIDED
    released_minor = payment.release(ended_as, now=now)
    event = announcements.released(
        _facts(payment, operation, now),
        operation_id=operation.pk,
        released_minor=released_minor,
        is_expiry=is_expiry,
    )
    return Consequences([event])


def _refund(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    payment.refund(operation.amount_minor, now=now)
    event = announcements.refunded(
        _facts(payment, operation, now),
        refund_id=operation.pk,
        refunded_minor=operation.amount_minor,
        total_minor=payment.refunded_minor,
        reason=operation.merchant_reason,
    )
    return Consequences([event])


def _facts(payment: Payment, operation: Operation, now: datetime) -> dict[str, Any]:
    return payment.facts(now) | {"processor": operation.processor}


# What was not done


def _give_back_capture(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    payment.give_back_capture(operation.amount_minor, is_final=operation.is_final, now=now)
    return Consequences()


def _give_back_release(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    if operation.purpose == Purpose.EXPIRY:
        # The time of the hold is over whatever its processor says to releasing it early.
        log.warning("a processor would not release an expired hold", reason=operation.reason)
        return _release(payment, operation, now)
    payment.give_back_release(now=now)
    return Consequences()


def _give_back_refund(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    payment.give_back_refund(operation.amount_minor, now=now)
    event = announcements.refund_failed(
        _facts(payment, operation, now),
        refund_id=operation.pk,
        amount_minor=operation.amount_minor,
        reason=operation.reason,
    )
    return Consequences([event])


# What was done after it had been given up


def _book_late(payment: Payment, operation: Operation, now: datetime) -> Consequences:
    if operation.reversals.exists():
        return Consequences()  # heard again
    log.warning("done after it had been given up", operation=str(operation.pk))
    if operation.kind == OperationKind.AUTHORISE:
        return Consequences(planned=[Operation.to_reverse(operation, payment)])
    try:
        _reserve_again(payment, operation, now)
    except DomainError:
        return _cannot_book(payment, operation)
    operation.resolve(Verdict.APPROVED, reason="late")
    return _DONE[OperationKind(operation.kind)](payment, operation, now)


def _reserve_again(payment: Payment, operation: Operation, now: datetime) -> None:
    if operation.kind == OperationKind.CAPTURE:
        # With others in flight, the rest cannot be released yet.
        operation.is_final = operation.is_final and not payment.capturing_minor
        payment.reserve_capture(operation.amount_minor, is_final=operation.is_final, now=now)
    elif operation.kind == OperationKind.REFUND:
        payment.reserve_refund(operation.amount_minor, now=now)
    else:
        payment.reserve_release(now=now)


def _cannot_book(payment: Payment, operation: Operation) -> Consequences:
    if operation.kind == OperationKind.CAPTURE:
        return Consequences(planned=[Operation.to_reverse(operation, payment)])
    # Money that is back with the payer cannot be fetched again; a hold that is gone, is gone.
    log.error("a late success cannot be booked; see the operation", operation=str(operation.pk))
    return Consequences()


_Consequence = Callable[[Payment, Operation, datetime], Consequences]
_DONE: dict[OperationKind, _Consequence] = {
    OperationKind.CAPTURE: _capture,
    OperationKind.VOID: _release,
    OperationKind.REFUND: _refund,
}
_UNDONE: dict[OperationKind, _Consequence] = {
    OperationKind.CAPTURE: _give_back_capture,
    OperationKind.VOID: _give_back_release,
    OperationKind.REFUND: _give_back_refund,
}
