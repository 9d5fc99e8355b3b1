"""What the module reacts to."""

from collections.abc import Sequence

from payments.use_cases.apply_fraud_decisions import apply_assessments, apply_reviews
from shared import clock
from shared.event_bus import listener
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided


@listener("payments.apply_assessment")
def on_fraud_assessment_completed(events: Sequence[FraudAssessmentCompleted]) -> None:
    """Authorise, hold for review, or decline."""
    apply_assessments(assessments=events, now=clock.now())


@listener("payments.apply_review")
def on_fraud_review_decided(events: Sequence[FraudReviewDecided]) -> None:
    """Go on as the operator decided."""
    apply_reviews(reviews=events, now=clock.now())
