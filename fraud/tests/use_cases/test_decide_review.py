"""Deciding a review: once, by one person, with a reason, and told."""

from functools import partial
from uuid import UUID

import pytest

from fraud.domain.engine import Decision
from fraud.models import Assessment, ReviewAlreadyDecided
from fraud.queries import AssessmentNotFound, count_awaiting_reviews
from fraud.tests.conftest import NOW, assessed, in_review, initiated
from fraud.use_cases.decide_review import decide_review
from shared.errors import DomainError
from shared.event_bus.operating import ReasonRequired
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

DECIDED, ACTION = "Fraud.Review.Decided", "Operator.Action.Taken"


def decide(
    assessment_id: UUID, decision: Decision, actor: str = "olga", reason: str = "known customer"
) -> Assessment:
    return decide_review(
        assessment_id=assessment_id, decision=decision, actor=actor, reason=reason, now=NOW
    )


def attempt(assessment_id: UUID, decision: Decision, actor: str) -> str:
    """What became of it: the decision, or the refusal's code."""
    try:
        return decide(assessment_id, decision, actor).review_decision
    except DomainError as refusal:
        return refusal.code


class TestDecideReview:
    @pytest.mark.parametrize("decision", [Decision.APPROVE, Decision.DECLINE])
    def test_stores_and_tells_the_decision(self, decision: Decision) -> None:
        waiting = in_review()
        assert count_awaiting_reviews() == 1

        decide(waiting.pk, decision)

        waiting.refresh_from_db()
        assert (waiting.review_decision, waiting.reviewed_by) == (decision, "olga")
        assert count_awaiting_reviews() == 0
        (event,) = told(DECIDED)
        assert event == {
            "payment_id": str(waiting.payment_id),
            "decision": decision,
            "reason": "known customer",
        }
        assert Event.objects.get(event_type=DECIDED).correlation_id == waiting.correlation_id
        assert told(ACTION) == [
            {
                "actor": "olga",
                "action": f"fraud.review.{decision.lower()}",
                "subject": str(waiting.payment_id),
                "reason": "known customer",
            }
        ]

    def test_is_possible_once(self) -> None:
        waiting = in_review()
        decide(waiting.pk, Decision.APPROVE)
        for decision in (Decision.APPROVE, Decision.DECLINE):
            with pytest.raises(ReviewAlreadyDecided):
                decide(waiting.pk, decision, "vera")
        waiting.refresh_from_db()
        assert (waiting.review_decision, waiting.reviewed_by) == ("APPROVE", "olga")
        assert len(told(DECIDED)) == len(told(ACTION)) == 1

    def test_by_many_at_once_is_won_by_exactly_one(self) -> None:
        for _ in range(3):
            waiting = in_review()
            operators = {"olga": Decision.APPROVE, "vera": Decision.DECLINE}
            outcomes = race(
                [partial(attempt, waiting.pk, what, who) for who, what in operators.items()] * 3
            )
            waiting.refresh_from_db()
            assert outcomes.count("review_already_decided") == 5
            assert outcomes.count(waiting.review_decision) == 1
            assert operators[waiting.reviewed_by] == waiting.review_decision
        assert len(told(DECIDED)) == len(told(ACTION)) == 3

    def test_without_the_lock_both_would_win(self) -> None:
        # The naive twin: each looks before the other has written.
        waiting = in_review()
        seen = [Assessment.objects.get(pk=waiting.pk) for _ in range(2)]
        for one, decision in zip(seen, (Decision.APPROVE, Decision.DECLINE), strict=True):
            one.decide_review(decision=decision, actor="olga", reason="r", now=NOW)
        waiting.refresh_from_db()
        assert waiting.review_decision == "DECLINE"

    @pytest.mark.parametrize("reason", ["", " \n\t"])
    def test_asks_for_a_reason(self, reason: str) -> None:
        waiting = in_review()
        with pytest.raises(ReasonRequired):
            decide(waiting.pk, Decision.APPROVE, reason=reason)
        waiting.refresh_from_db()
        assert waiting.awaits_review
        assert told(DECIDED) == told(ACTION) == []

    def test_refuses_what_waits_for_nobody(self) -> None:
        (approved,) = assessed(initiated())
        with pytest.raises(ReviewAlreadyDecided):
            decide(approved.pk, Decision.DECLINE)
        with pytest.raises(AssessmentNotFound):
            decide(new_id(), Decision.DECLINE)
        assert told(DECIDED) == []
