"""Acting on what fraud decided, for a batch of payments."""

from collections.abc import Sequence
from datetime import datetime

from payments.adapters.registry import DEFAULT_PROCESSOR
from payments.models import Operation, Payment
from shared import db
from shared.event_bus import publish, wake
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided
from shared.events.payments import PaymentTransactionDeclined

Decision = FraudAssessmentCompleted | FraudReviewDecided

DECLINE_REASON = "fraud_assessment"


def apply_fraud_decisions(*, decisions: Sequence[Decision], now: datetime) -> None:
    """
    Ask a processor to authorise (APPROVE), wait for an operator (REVIEW) or decline (DECLINE).

    The first assessment of a payment counts, and then, if it waits IN_REVIEW, the first review;
    repeated, contradictory or late ones change nothing. One decision per payment in a batch.
    Publishes Payment.Transaction.Declined.
    """
    with db.transaction():
        payments = Payment.objects.locked([decision.payment_id for decision in decisions])
        awaited = [
            (payments[decision.payment_id], decision)
            for decision in decisions
            if decision.payment_id in payments
            and _is_awaited(decision, payments[decision.payment_id])
        ]
        for payment, decision in awaited:
            _decide(payment, decision.decision, now)
        Payment.objects.write([payment for payment, _ in awaited])
        _plan_authorisations(awaited)
        publish(
            *(
                PaymentTransactionDeclined(**payment.facts(now), reason=DECLINE_REASON)
                for payment, decision in awaited
                if decision.decision == "DECLINE"
            )
        )


def _is_awaited(decision: Decision, payment: Payment) -> bool:
    if isinstance(decision, FraudReviewDecided):
        return payment.awaits_review
    return payment.awaits_assessment


def _decide(payment: Payment, decision: str, now: datetime) -> None:
    if decision == "APPROVE":
        payment.pass_assessment(now=now)
    elif decision == "REVIEW":
        payment.hold_for_review(now=now)
    else:
        payment.decline(reason=DECLINE_REASON, now=now)


def _plan_authorisations(awaited: Sequence[tuple[Payment, Decision]]) -> None:
    operations = [
        Operation.to_authorise(
            payment, processor=DEFAULT_PROCESSOR, cause_event_id=decision.event_id
        )
        for payment, decision in awaited
        if decision.decision == "APPROVE"
    ]
    if operations:
        Operation.objects.plan(operations)
        wake("payments.operation")
