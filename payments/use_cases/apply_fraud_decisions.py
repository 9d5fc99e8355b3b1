"""Acting on what fraud decided, for a batch of payments."""

from collections.abc import Callable, Sequence
from datetime import datetime

from payments.adapters.registry import DEFAULT_PROCESSOR
from payments.models import Operation, Payment
from shared import db
from shared.event_bus import publish, wake
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided
from shared.events.payments import PaymentTransactionDeclined

Decision = FraudAssessmentCompleted | FraudReviewDecided

DECLINE_REASON = "fraud_assessment"


def apply_assessments(*, assessments: Sequence[FraudAssessmentCompleted], now: datetime) -> None:
    """
    Ask a processor to authorise (APPROVE), wait for an operator (REVIEW) or decline (DECLINE).

    The first assessment of a payment counts; a repeated or contradictory one changes nothing.
    Publishes Payment.Transaction.Declined.
    """
    _apply(assessments, lambda payment: payment.awaits_assessment, now)


def apply_reviews(*, reviews: Sequence[FraudReviewDecided], now: datetime) -> None:
    """
    Go on with payments that waited IN_REVIEW, as the operator decided.

    Publishes Payment.Transaction.Declined.
    """
    _apply(reviews, lambda payment: payment.awaits_review, now)


def _apply(
    decisions: Sequence[Decision], is_awaited: Callable[[Payment], bool], now: datetime
) -> None:
    with db.transaction():
        payments = Payment.objects.locked([decision.payment_id for decision in decisions])
        awaited = [
            (payments[decision.payment_id], decision)
            for decision in decisions
            if decision.payment_id in payments and is_awaited(payments[decision.payment_id])
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
