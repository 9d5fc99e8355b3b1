"""Deciding a payment that waits for an operator."""

from datetime import datetime
from uuid import UUID

from fraud.domain.engine import Decision
from fraud.models import Assessment
from fraud.queries import lock_assessment
from shared import clock, db
from shared.event_bus import publish
from shared.event_bus.operating import tell
from shared.events.fraud import FraudReviewDecided


def decide_review(
    *, assessment_id: UUID, decision: Decision, actor: str, reason: str, now: datetime
) -> Assessment:
    """
    Approve or decline a payment in review, once.

    Publishes Fraud.Review.Decided and Operator.Action.Taken.

    Raises:
        AssessmentNotFound: there is no such assessment.
        ReviewAlreadyDecided: it does not wait for a review.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        assessment = lock_assessment(assessment_id)
        assessment.decide_review(decision=decision, actor=actor, reason=reason, now=now)
        publish(_decided(assessment, now))
        tell(
            actor=actor,
            action=f"fraud.review.{decision.lower()}",
            subject=str(assessment.payment_id),
            reason=reason,
            now=now,
        )
    return assessment


def _decided(assessment: Assessment, now: datetime) -> FraudReviewDecided:
    return FraudReviewDecided(
        correlation_id=str(assessment.correlation_id),
        subject_id=str(assessment.pk),
        merchant_id=str(assessment.merchant_id),
        occurred_at=clock.iso(now),
        payment_id=str(assessment.payment_id),
        decision=assessment.review_decision,
        reason=assessment.review_reason,
    )
