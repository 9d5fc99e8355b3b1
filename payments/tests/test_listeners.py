"""What the module reacts to: once, in order, and without taking others along."""

import pytest
from django.db import connection

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment
from payments.tests.conftest import FakeProcessor, loaded, payment_in
from payments.tests.use_cases.test_apply_fraud_decisions import assessment, review
from payments.use_cases.apply_fraud_decisions import apply_fraud_decisions
from shared import clock
from shared.event_bus import drain
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import failed, publish_again, publish_committed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("processor")]

LISTENER = "payments.apply_fraud_decision"
ASSESSED, REVIEWED = "Fraud.Assessment.Completed", "Fraud.Review.Decided"


def rows() -> list[object]:
    """Everything the module owns, and every event."""
    return [
        list(Payment.objects.values()),
        list(Operation.objects.values()),
        list(Event.objects.values()),
    ]


class TestOnFraudDecided:
    def test_follows_assessments_and_reviews(self) -> None:
        approved, declined, reviewed = (payment_in(PaymentStatus.PENDING) for _ in range(3))
        publish_committed(
            assessment(approved, "APPROVE"),
            assessment(declined, "DECLINE"),
            assessment(reviewed, "REVIEW"),
            review(reviewed, "APPROVE"),
        )
        drain()
        statuses = [loaded(payment).status for payment in (approved, declined, reviewed)]
        assert statuses == ["AUTHORISED", "DECLINED", "AUTHORISED"]

    def test_takes_every_event_once(self) -> None:
        payment, other = payment_in(PaymentStatus.PENDING), payment_in(PaymentStatus.PENDING)
        publish_committed(assessment(payment, "APPROVE"))
        publish_committed(assessment(other, "REVIEW"), review(other, "DECLINE"))
        drain()
        before = rows()
        for event_type in (ASSESSED, REVIEWED):
            assert publish_again(LISTENER, event_type) > 0
            drain()
        assert rows() == before

    def test_takes_the_rest_of_a_batch_without_the_poison(self) -> None:
        payments = [payment_in(PaymentStatus.PENDING) for _ in range(4)]
        poison = assessment(payments[1], "APPROVE")
        object.__setattr__(poison, "payment_id", "not an id")
        publish_committed(
            assessment(payments[0], "APPROVE"),
            poison,
            assessment(payments[2], "DECLINE"),
            assessment(payments[3], "APPROVE"),
        )
        drain()
        statuses = [loaded(payment).status for payment in payments]
        assert statuses == ["AUTHORISED", "PENDING", "DECLINED", "AUTHORISED"]
        assert failed(LISTENER) == [poison.subject_id]

    def test_lets_no_review_overtake_its_assessment(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.PENDING)
        publish_committed(assessment(payment, "REVIEW"))
        due("now() + interval '1 minute'")  # it failed once, say, and waits
        publish_committed(review(payment, "APPROVE"))
        drain()
        assert loaded(payment).status == "PENDING"
        assert processor.calls == []

        due("now()")
        drain()

        assert loaded(payment).status == "AUTHORISED"

    def test_a_review_that_overtook_would_leave_the_payment_in_review_for_ever(self) -> None:
        # The naive twin: a listener for each, between which there is no order.
        payment = payment_in(PaymentStatus.PENDING)
        for decision in (review(payment, "APPROVE"), assessment(payment, "REVIEW")):
            apply_fraud_decisions(decisions=[decision], now=clock.now())
        assert loaded(payment).status == "IN_REVIEW"

    def test_ignores_what_is_said_of_a_payment_it_does_not_know(self) -> None:
        stranger = Payment(pk=new_id(), correlation_id=new_id())
        publish_committed(assessment(stranger, "APPROVE"))
        drain()
        assert failed(LISTENER) == []
        assert not Operation.objects.exists()


def due(when: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE shared.publication SET due_at = {when} WHERE listener_id = %s", [LISTENER]
        )
