"""Acting on what fraud decided, for a batch of payments."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from payments.adapters.registry import configured_names
from payments.models import Operation, Payment, Route, RoutingTable
from shared import db
from shared.event_bus import publish, wake
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided
from shared.events.payments import (
    PaymentEvent,
    PaymentTransactionDeclined,
    PaymentTransactionFailed,
)

Decision = FraudAssessmentCompleted | FraudReviewDecided

DECLINE_REASON = "fraud_assessment"
NO_PROCESSOR = "no_processor"


def apply_fraud_decisions(*, decisions: Sequence[Decision], now: datetime) -> None:
    """
    Ask a processor to authorise (APPROVE), wait for an operator (REVIEW) or decline (DECLINE).

    The first assessment of a payment counts, and then, if it waits IN_REVIEW, the first review;
    repeated, contradictory or late ones change nothing. One decision per payment in a batch. A
    payment for which no route names a processor fails.
    Publishes Payment.Transaction.Declined and …Failed.
    """
    with db.transaction():
        payments = Payment.objects.locked([decision.payment_id for decision in decisions])
        awaited = [
            (payments[decision.payment_id], decision)
            for decision in decisions
            if decision.payment_id in payments
            and _is_awaited(decision, payments[decision.payment_id])
        ]
        routes = Route.objects.table()
        decided = [_decide(payment, decision, routes, now) for payment, decision in awaited]
        Payment.objects.write([payment for payment, _ in awaited])
        operations = [made for made in decided if isinstance(made, Operation)]
        Operation.objects.plan(operations)
        publish(*(made for made in decided if isinstance(made, PaymentEvent)))
        if operations:
            wake("payments.operation")


def _is_awaited(decision: Decision, payment: Payment) -> bool:
    if isinstance(decision, FraudReviewDecided):
        return payment.awaits_review
    return payment.awaits_assessment


def _decide(
    payment: Payment, decision: Decision, routes: RoutingTable, now: datetime
) -> Operation | PaymentEvent | None:
    if decision.decision == "REVIEW":
        payment.hold_for_review(now=now)
        return None
    if decision.decision != "APPROVE":
        payment.decline(reason=DECLINE_REASON, now=now)
        return PaymentTransactionDeclined(**payment.facts(now), reason=DECLINE_REASON)
    payment.pass_assessment(now=now)
    processor = routes.next_processor(
        payment.method_type, payment.currency, usable=configured_names(), tried=()
    )
    if processor is None:
        payment.fail(reason=NO_PROCESSOR, now=now)
        return PaymentTransactionFailed(**payment.facts(now), reason=NO_PROCESSOR)
    return Operation.to_authorise(
        payment, processor=processor, cause_event_id=UUID(decision.event_id)
    )
