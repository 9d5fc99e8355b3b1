"""What `fraud` publishes."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class FraudAssessmentCompleted(DomainEvent):
    """
    Published when the rules have assessed a payment; `subject_id` is the assessment's id.

    `score` runs from 0 to 100 (100 = safest). `decision` is APPROVE, REVIEW (an operator decides,
    see `FraudReviewDecided`) or DECLINE. `rules` are the names of the rules that hit.
    """

    event_type: ClassVar[str] = "Fraud.Assessment.Completed"

    payment_id: str
    score: int
    risk_score: int
    decision: str
    rules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FraudReviewDecided(DomainEvent):
    """
    Published when an operator decided a payment that waited IN_REVIEW.

    `decision` is APPROVE or DECLINE; it is decided once.
    """

    event_type: ClassVar[str] = "Fraud.Review.Decided"

    payment_id: str
    decision: str
    reason: str
