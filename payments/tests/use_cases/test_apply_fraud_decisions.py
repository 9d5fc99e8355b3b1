"""Acting on fraud's decisions: the first counts, whatever else arrives."""

from datetime import timedelta
from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.domain.lifecycle import DECIDED, PaymentStatus
from payments.models import Operation, Payment
from payments.tests.conftest import NOW, loaded, payment_in
from payments.use_cases.apply_fraud_decisions import apply_fraud_decisions
from shared.events.fraud import FraudAssessmentCompleted, FraudReviewDecided
from shared.identifiers import new_id
from shared.testing.events import example, told

pytestmark = pytest.mark.django_db

DECLINED = "Payment.Transaction.Declined"


def assessment(payment: Payment, decision: str) -> FraudAssessmentCompleted:
    return example(
        FraudAssessmentCompleted,
        correlation_id=str(payment.correlation_id),
        payment_id=str(payment.pk),
        decision=decision,
    )


def review(payment: Payment, decision: str) -> FraudReviewDecided:
    return example(
        FraudReviewDecided,
        correlation_id=str(payment.correlation_id),
        payment_id=str(payment.pk),
        decision=decision,
    )


def apply(*decisions: FraudAssessmentCompleted | FraudReviewDecided) -> None:
    apply_fraud_decisions(decisions=decisions, now=NOW)


def standing(payment: Payment) -> tuple[str, int, int]:
    """Its status, its operations, and the declines that were told."""
    return (
        loaded(payment).status,
        Operation.objects.filter(payment=payment).count(),
        len([event for event in told(DECLINED) if event["payment_id"] == str(payment.pk)]),
    )


AFTER_ASSESSMENT = {
    "APPROVE": ("PENDING", 1, 0),
    "REVIEW": ("IN_REVIEW", 0, 0),
    "DECLINE": ("DECLINED", 0, 1),
}
AFTER_REVIEW = {"APPROVE": ("PENDING", 1, 0), "DECLINE": ("DECLINED", 0, 1)}


class TestAssessment:
    @pytest.mark.parametrize("decision", AFTER_ASSESSMENT)
    def test_sends_holds_or_declines(self, decision: str) -> None:
        payment = payment_in(PaymentStatus.PENDING)
        apply(assessment(payment, decision))
        assert standing(payment) == AFTER_ASSESSMENT[decision]
        assert loaded(payment).assessed_at == NOW

    def test_counts_when_it_is_the_first_and_never_after(self) -> None:
        for first, second in product(AFTER_ASSESSMENT, repeat=2):
            payment = payment_in(PaymentStatus.PENDING)
            apply(assessment(payment, first))
            updated_at = loaded(payment).updated_at
            apply_fraud_decisions(
                decisions=[assessment(payment, second)], now=NOW + timedelta(hours=1)
            )
            assert standing(payment) == AFTER_ASSESSMENT[first], (first, second)
            assert loaded(payment).updated_at == updated_at

    def test_repeated_changes_nothing(self) -> None:
        for decision, expected in AFTER_ASSESSMENT.items():
            payment = payment_in(PaymentStatus.PENDING)
            event = assessment(payment, decision)
            for _ in range(3):
                apply(event)
            assert standing(payment) == expected

    def test_of_a_decided_payment_changes_nothing(self) -> None:
        for status, decision in product(DECIDED, AFTER_ASSESSMENT):
            payment = payment_in(status)
            apply(assessment(payment, decision))
            assert standing(payment) == (status, 0, 0)

    def test_of_an_unknown_payment_changes_nothing(self) -> None:
        payment = payment_in(PaymentStatus.PENDING)
        stranger = Payment(pk=new_id(), correlation_id=new_id())
        apply(assessment(stranger, "DECLINE"), assessment(payment, "APPROVE"))
        assert standing(payment) == AFTER_ASSESSMENT["APPROVE"]
        assert told(DECLINED) == []

    def test_declines_with_the_reason_merchants_know(self) -> None:
        payment = payment_in(PaymentStatus.PENDING)
        apply(assessment(payment, "DECLINE"))
        assert loaded(payment).decline_reason == "fraud_assessment"
        assert told(DECLINED)[0]["reason"] == "fraud_assessment"

    def test_plans_the_call_with_the_event_that_asked_for_it(self) -> None:
        payment = payment_in(PaymentStatus.PENDING)
        event = assessment(payment, "APPROVE")
        apply(event)
        operation = Operation.objects.get()
        assert str(operation.cause_event_id) == event.event_id
        assert (operation.amount_minor, operation.outcome) == (payment.amount_minor, "")
        assert operation.due_at is not None

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            payments = [payment_in(PaymentStatus.PENDING) for _ in range(count)]
            decisions = [
                assessment(payment, decision)
                for payment in payments
                for decision in ["APPROVE" if payment is not payments[0] else "DECLINE"]
            ]
            with CaptureQueriesContext(connection) as queries:
                apply(*decisions)
            return len(queries)

        assert statements(30) == statements(2)


class TestReview:
    @pytest.mark.parametrize("decision", AFTER_REVIEW)
    def test_goes_on_as_the_operator_decided(self, decision: str) -> None:
        payment = payment_in(PaymentStatus.IN_REVIEW)
        apply(review(payment, decision))
        assert standing(payment) == AFTER_REVIEW[decision]

    def test_counts_when_it_is_the_first_and_never_after(self) -> None:
        for first, second in product(AFTER_REVIEW, repeat=2):
            payment = payment_in(PaymentStatus.IN_REVIEW)
            apply(review(payment, first))
            apply(review(payment, second))
            assert standing(payment) == AFTER_REVIEW[first]

    def test_of_a_payment_that_waits_for_none_changes_nothing(self) -> None:
        for status, decision in product(set(PaymentStatus) - {"IN_REVIEW"}, AFTER_REVIEW):
            payment = payment_in(status)
            apply(review(payment, decision))
            assert standing(payment) == (status, 0, 0)

    def test_is_not_undone_by_a_late_assessment(self) -> None:
        for decision, late in product(AFTER_REVIEW, AFTER_ASSESSMENT):
            payment = payment_in(PaymentStatus.PENDING)
            apply(assessment(payment, "REVIEW"))
            apply(review(payment, decision))
            apply(assessment(payment, late))
            assert standing(payment) == AFTER_REVIEW[decision]

    def test_keeps_when_fraud_first_decided(self) -> None:
        payment = payment_in(PaymentStatus.IN_REVIEW)
        later = NOW + timedelta(days=1)
        apply_fraud_decisions(decisions=[review(payment, "APPROVE")], now=later)
        assert (loaded(payment).assessed_at, loaded(payment).updated_at) == (NOW, later)
