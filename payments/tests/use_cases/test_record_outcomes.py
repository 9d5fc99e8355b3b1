"""Recording outcomes: every kind, in a batch, late, and again."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import conf
from payments.domain.lifecycle import DECIDED, PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import NOW, loaded, payment_in, planned
from payments.use_cases.record_outcomes import record_outcomes
from shared.models import Event
from shared.testing.events import told

pytestmark = pytest.mark.django_db

OUTCOMES = {
    OutcomeKind.APPROVED: Outcome(OutcomeKind.APPROVED, reference="ref-1"),
    OutcomeKind.DECLINED: Outcome(OutcomeKind.DECLINED, reason="insufficient_funds"),
    OutcomeKind.PENDING: Outcome(OutcomeKind.PENDING, reference="ref-1"),
    OutcomeKind.NOT_SENT: Outcome(OutcomeKind.NOT_SENT, reason="connection_refused"),
    OutcomeKind.UNKNOWN: Outcome(OutcomeKind.UNKNOWN, reason="timeout"),
}


def record(operation: Operation, kind: OutcomeKind) -> tuple[Payment, Operation]:
    """Payment and operation as they are stored afterwards."""
    record_outcomes(finished=[(operation, OUTCOMES[kind])], now=NOW)
    stored = Operation.objects.get(pk=operation.pk)
    return stored.payment, stored


def first_call() -> Operation:
    """The call of a PENDING payment, as it is claimed for the first time."""
    return planned(payment_in(PaymentStatus.PENDING))


def types() -> list[str]:
    return list(Event.objects.order_by("sequence").values_list("event_type", flat=True))


class TestRecordOutcomes:
    def test_covers_every_kind(self) -> None:
        assert set(OUTCOMES) == set(OutcomeKind)

    def test_approved_authorises(self) -> None:
        payment, operation = record(first_call(), OutcomeKind.APPROVED)
        assert (payment.status, payment.authorised_minor) == ("AUTHORISED", 25_000)
        assert (operation.outcome, operation.due_at) == ("APPROVED", None)
        (event,) = told("Payment.Transaction.Authorised")
        assert (event["processor"], event["processor_reference"]) == ("sandbox", "ref-1")
        assert event["amount_minor"] == 25_000

    def test_declined_declines_with_the_issuers_reason(self) -> None:
        payment, operation = record(first_call(), OutcomeKind.DECLINED)
        assert (payment.status, payment.decline_reason) == ("DECLINED", "insufficient_funds")
        assert operation.due_at is None
        assert told("Payment.Transaction.Declined")[0]["reason"] == "insufficient_funds"

    @pytest.mark.parametrize("kind", [OutcomeKind.UNKNOWN, OutcomeKind.PENDING])
    def test_doubt_leaves_it_pending_until_an_inquiry_tells(self, kind: OutcomeKind) -> None:
        payment, operation = record(first_call(), kind)
        assert (payment.status, payment.in_doubt) == ("PENDING", True)
        assert operation.due_at == NOW + timedelta(seconds=conf.INQUIRY_SECONDS[0])
        assert operation.was_inquiry
        assert types() == []

    def test_an_authoritative_no_ends_the_doubt_and_not_the_payment(self) -> None:
        _, doubtful = record(first_call(), OutcomeKind.UNKNOWN)
        payment, operation = record(doubtful, OutcomeKind.NOT_SENT)
        assert (payment.status, payment.in_doubt) == ("PENDING", False)
        assert (operation.sends, operation.inquiries) == (1, 1)
        assert operation.due_at == NOW + timedelta(seconds=2)

    def test_an_inquiry_decides_as_an_answer_would(self) -> None:
        decided = {OutcomeKind.APPROVED: "AUTHORISED", OutcomeKind.DECLINED: "DECLINED"}
        for kind, status in decided.items():
            _, doubtful = record(first_call(), OutcomeKind.UNKNOWN)
            payment, operation = record(doubtful, kind)
            assert (payment.status, payment.in_doubt, operation.due_at) == (status, False, None)

    def test_not_sent_for_the_fifth_time_fails(self) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING), sends=conf.MAX_SENDS - 2)
        payment, operation = record(operation, OutcomeKind.NOT_SENT)
        assert (payment.status, types()) == ("PENDING", [])
        operation.attempts, operation.ended = 2, 1

        payment, operation = record(operation, OutcomeKind.NOT_SENT)

        assert (payment.status, payment.failure_reason) == ("FAILED", "processor_unreachable")
        assert (operation.due_at, operation.sends) == (None, conf.MAX_SENDS)
        assert told("Payment.Transaction.Failed")[0]["reason"] == "processor_unreachable"

    def test_unknown_never_fails_however_often(self) -> None:
        # Q: a timer must not turn doubt into a failure. The naive twin counts tries of any kind.
        operation = first_call()
        for inquiry in range(1, 3 * conf.MAX_SENDS):
            payment, operation = record(operation, OutcomeKind.UNKNOWN)
            assert (payment.status, payment.in_doubt) == ("PENDING", True), inquiry
        assert operation.sends + operation.inquiries > conf.MAX_SENDS

    def test_a_late_outcome_changes_nothing_of_a_decided_payment(self) -> None:
        for status in DECIDED:
            for kind, outcome in OUTCOMES.items():
                decided = payment_in(status)
                before = Payment.objects.filter(pk=decided.pk).values().get()
                late = planned(decided, sends=conf.MAX_SENDS - 1)
                payment, operation = record(late, kind)
                assert Payment.objects.filter(pk=payment.pk).values().get() == before
                assert (operation.outcome, operation.reason) == (kind, outcome.reason)
        assert types() == []

    def test_a_payment_in_review_awaits_no_processor(self) -> None:
        payment, _ = record(planned(payment_in(PaymentStatus.IN_REVIEW)), OutcomeKind.APPROVED)
        assert payment.status == "IN_REVIEW"

    def test_takes_a_batch_of_every_kind(self) -> None:
        finished = [(first_call(), outcome) for outcome in OUTCOMES.values()]
        record_outcomes(finished=finished, now=NOW)
        statuses = [loaded(operation.payment).status for operation, _ in finished]
        assert statuses == ["AUTHORISED", "DECLINED", "PENDING", "PENDING", "PENDING"]
        assert types() == ["Payment.Transaction.Authorised", "Payment.Transaction.Declined"]

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            finished = [(first_call(), OUTCOMES[OutcomeKind.APPROVED]) for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                record_outcomes(finished=finished, now=NOW)
            return len(queries)

        assert statements(30) == statements(1)
