"""What the module reacts to."""

from collections.abc import Sequence

from payments.use_cases.apply_fraud_decisions import apply_fraud_decisions
from shared import clock
from shared.event_bus import listener
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided


# One listener for both: order is kept per listener, and a review may overtake its assessment
# on the way to another.
@listener("payments.apply_fraud_decision")
def on_fraud_decided(events: Sequence[FraudAssessmentCompleted | FraudReviewDecided]) -> None:
    """Authorise, hold for review, or decline."""
    apply_fraud_decisions(decisions=events, now=clock.now())
