"""Consequences across calls: other processors, late successes, open circuits."""

from datetime import timedelta

import pytest

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind, Redirect
from payments.models import CircuitBreaker, Operation, Payment
from payments.tests.conftest import (
    DEADLINE,
    NOW,
    FakeProcessor,
    claimed,
    loaded,
    payment_in,
    planned,
    run,
)
from payments.tests.use_cases.test_apply_fraud_decisions import apply, assessment
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_record_outcomes import asked, record
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.expire_holds import expire_holds
from payments.use_cases.record_outcomes import record_outcomes
from shared import clock
from shared.testing.events import told

pytestmark = pytest.mark.django_db

S = PaymentStatus
NOT_SENT, UNKNOWN = Outcome(OutcomeKind.NOT_SENT), Outcome(OutcomeKind.UNKNOWN)
RETRYABLE = Outcome(OutcomeKind.DECLINED, reason="issuer_unavailable", is_retryable=True)
DECLINED = Outcome(OutcomeKind.DECLINED, reason="do_not_honor")
CAPTURED, REFUNDED = "Payment.Transaction.Captured", "Payment.Transaction.Refunded"


def taken(**changes: object) -> Payment:
    """A payment whose authorisation is planned with the first processor."""
    payment = payment_in(S.PENDING, **changes)
    apply(assessment(payment, "APPROVE"))
    return payment


def given_up(operation: Operation) -> Operation:
    """An operation that was in doubt, then not found five times: given up, and looked at late."""
    Operation.objects.filter(pk=operation.pk).update(
        sends=conf.MAX_SENDS, inquiries=1, outcome="UNKNOWN"
    )
    _, after = record(claimed(operation), "NOT_SENT")
    assert (after.verdict, after.due_at is None) == ("FAILED", False)
    return after


class TestFailover:
    @pytest.mark.parametrize("first", [NOT_SENT, RETRYABLE], ids=["not sent", "retryable"])
    def test_asks_the_backup(
        self, processor: FakeProcessor, backup: FakeProcessor, first: Outcome
    ) -> None:
        payment = taken()
        processor.answers = [first]
        run()
        stored = loaded(payment)
        assert (stored.status, stored.processor) == ("AUTHORISED", "sandbox-backup")
        (passed_on,) = Operation.objects.filter(processor="sandbox")
        (approved,) = Operation.objects.filter(processor="sandbox-backup")
        assert (passed_on.verdict, approved.verdict) == ("PASSED_ON", "APPROVED")
        assert passed_on.cause_event_id == approved.cause_event_id
        assert backup.calls == [("authorise", approved.pk)]

    def test_tries_no_third_time_round(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        payment = taken()
        processor.answers, backup.is_reachable = [RETRYABLE], False
        run(conf.MAX_SENDS + 1)
        assert processor.verbs() == ["authorise"]
        assert backup.verbs() == ["authorise"] * conf.MAX_SENDS
        assert (loaded(payment).status, loaded(payment).failure_reason) == (
            "FAILED",
            "processor_unreachable",
        )

    def test_does_not_happen_after_a_decline(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        payment = taken()
        processor.answers = [DECLINED]
        run()
        assert (loaded(payment).status, backup.calls) == ("DECLINED", [])

    def test_does_not_happen_once_anything_was_in_doubt(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        payment = taken()
        processor.answers = [UNKNOWN, NOT_SENT, NOT_SENT]
        run(3)
        assert processor.verbs() == ["authorise", "inquire", "authorise"]
        assert backup.calls == []
        run()
        assert (loaded(payment).status, loaded(payment).processor) == ("AUTHORISED", "sandbox")

    def test_without_that_rule_one_payment_could_be_held_twice(
        self,
        processor: FakeProcessor,
        backup: FakeProcessor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The naive twin: "not found" is believed although the request may still be on its way.
        monkeypatch.setattr(
            Operation,
            "may_go_elsewhere",
            property(lambda operation: operation.outcome == OutcomeKind.NOT_SENT),
        )
        taken()
        processor.answers = [UNKNOWN, NOT_SENT]
        run(2)
        assert len(processor.book) + len(backup.book) == 2

    def test_of_captures_does_not_exist(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        capture(payment_in(S.AUTHORISED))
        processor.is_reachable = False
        run(2)
        assert backup.calls == []

    def test_leads_nowhere_when_the_payer_never_came(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        payment = taken()
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason="redirect_expired")]
        run()
        assert (loaded(payment).status, loaded(payment).failure_reason) == (
            "FAILED",
            "redirect_expired",
        )


class TestCircuit:
    def opened(self, processor: FakeProcessor) -> None:
        now = clock.now()
        CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES, now=now)

    def paused(self) -> None:
        CircuitBreaker.objects.update(opened_at=NOW)

    def test_opens_by_silence(self, processor: FakeProcessor) -> None:
        processor.is_reachable = False
        for _ in range(conf.BREAKER_FAILURES):
            taken()
        run()
        assert CircuitBreaker.objects.get().state == "OPEN"

    def test_is_passed_by(self, processor: FakeProcessor, backup: FakeProcessor) -> None:
        self.opened(processor)
        payment = taken()
        run()
        assert (processor.calls, loaded(payment).processor) == ([], "sandbox-backup")

    def test_is_tried_by_one_and_closes(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        self.opened(processor)
        self.paused()
        payments = [taken() for _ in range(4)]
        run()
        asked_at = sorted(loaded(payment).processor for payment in payments)
        assert asked_at == ["sandbox"] + ["sandbox-backup"] * 3
        assert CircuitBreaker.objects.get().state == "CLOSED"
        taken()
        run()
        assert processor.verbs() == ["authorise"] * 2

    def test_stays_open_when_the_try_fails(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        self.opened(processor)
        self.paused()
        processor.is_reachable = False
        taken()
        run()
        assert CircuitBreaker.objects.get().state == "OPEN"
        assert (processor.verbs(), backup.verbs()) == (["authorise"], ["authorise"])

    def test_holds_back_what_has_nowhere_else_to_go_until_it_closes(
        self, processor: FakeProcessor
    ) -> None:
        self.opened(processor)
        operation = capture(payment_in(S.AUTHORISED))
        run(2 * conf.MAX_SENDS)
        operation.refresh_from_db()
        assert (processor.calls, operation.sends, operation.verdict) == ([], 0, "")
        assert operation.reason == "circuit_open"
        self.paused()
        run()
        assert processor.verbs() == ["capture"]
        assert loaded(operation.payment).status == "CAPTURED"

    def test_that_stays_open_for_too_long_fails_what_it_holds_back(
        self, processor: FakeProcessor
    ) -> None:
        self.opened(processor)
        operation = capture(payment_in(S.AUTHORISED))
        long_ago = clock.now() - timedelta(seconds=conf.HELD_BACK_SECONDS)
        Operation.objects.filter(pk=operation.pk).update(created_at=long_ago)
        run()
        operation.refresh_from_db()
        assert (operation.verdict, operation.sends, operation.due_at) == ("FAILED", 0, None)
        assert (processor.calls, loaded(operation.payment).capturing_minor) == ([], 0)


class TestLateSuccess:
    def test_of_a_hold_is_released(self, processor: FakeProcessor) -> None:
        operation = given_up(planned(payment_in(S.PENDING)))
        assert loaded(operation.payment).status == "FAILED"
        payment, _ = record(operation, "APPROVED")
        run()
        reversal = Operation.objects.get(purpose="REVERSAL")
        assert (payment.status, reversal.verdict) == ("FAILED", "APPROVED")
        assert processor.verbs() == ["void"]
        assert processor.asked[0].authorisation_reference == "ref-1"

    def test_is_released_once_however_often_it_is_heard(self, processor: FakeProcessor) -> None:
        operation = given_up(planned(payment_in(S.PENDING)))
        record(operation, "APPROVED", "APPROVED", "APPROVED")
        assert Operation.objects.filter(purpose="REVERSAL").count() == 1

    @pytest.mark.parametrize(
        ("name", "status", "event"),
        [
            ("capture", "PARTIALLY_CAPTURED", CAPTURED),
            ("final capture", "CAPTURED", CAPTURED),
            ("void", "VOIDED", "Payment.Transaction.Voided"),
            ("refund", "PARTIALLY_REFUNDED", REFUNDED),
        ],
    )
    def test_is_booked_where_it_still_can_be(
        self, processor: FakeProcessor, name: str, status: str, event: str
    ) -> None:
        payment, operation = record(given_up(asked(name)), "APPROVED")
        assert (payment.status, operation.verdict, operation.reason) == (status, "APPROVED", "late")
        assert len(told(event)) == 1
        assert not Operation.objects.filter(purpose="REVERSAL").exists()

    def test_of_a_capture_after_the_void_is_given_back(self, processor: FakeProcessor) -> None:
        operation = given_up(asked("capture"))
        void(operation.payment)
        run()
        payment, operation = record(Operation.objects.get(pk=operation.pk), "APPROVED")
        run()
        assert (payment.status, operation.verdict) == ("VOIDED", "FAILED")
        reversal = Operation.objects.get(purpose="REVERSAL")
        assert (reversal.kind, reversal.amount_minor) == ("REFUND", 10_000)
        assert processor.asked[-1].authorisation_reference == "ref_1"
        assert told(CAPTURED) == []

    def test_of_two_captures_after_the_void_is_given_back_twice(
        self, processor: FakeProcessor
    ) -> None:
        payment = payment_in(S.AUTHORISED)
        late = [given_up(capture(payment, amount, is_final=False)) for amount in (10_000, 4_000)]
        void(payment)
        run()
        for operation in late:
            record(Operation.objects.get(pk=operation.pk), "APPROVED", "APPROVED")
        reversals = Operation.objects.filter(purpose="REVERSAL")
        assert sorted(reversals.values_list("amount_minor", flat=True)) == [4_000, 10_000]

    def test_of_a_refund_that_was_repeated_is_left_to_people(
        self, processor: FakeProcessor
    ) -> None:
        operation = given_up(asked("refund of all"))
        refund(operation.payment)
        run()
        payment, operation = record(Operation.objects.get(pk=operation.pk), "APPROVED")
        assert (payment.status, payment.refunded_minor) == ("REFUNDED", 10_000)
        assert (operation.is_late_success, len(told(REFUNDED))) == (True, 1)

    def test_that_never_comes_changes_nothing(self, processor: FakeProcessor) -> None:
        operation = given_up(asked("capture"))
        before = Payment.objects.values().get()
        record(operation, "NOT_SENT", "UNKNOWN", "DECLINED")
        assert Payment.objects.values().get() == before


class TestReversal:
    def test_is_tried_until_it_is_done(self, processor: FakeProcessor) -> None:
        record(given_up(planned(payment_in(S.PENDING))), "APPROVED")
        processor.is_reachable = False
        run(conf.MAX_SENDS + 2)
        processor.is_reachable = True
        run()
        assert Operation.objects.get(purpose="REVERSAL").verdict == "APPROVED"


class TestRedirect:
    def test_sends_the_payer_and_forgets_it_once_decided(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(S.PENDING))
        redirect = Redirect("https://bank.example/1", DEADLINE)
        pending = Outcome(OutcomeKind.PENDING, "ref-1", redirect=redirect)
        record_outcomes(finished=[(operation, pending)], now=NOW)
        payment = loaded(operation.payment)
        assert (payment.awaits_payer, payment.redirect_url) == (True, "https://bank.example/1")
        payment, _ = record(Operation.objects.get(), "APPROVED")
        assert (payment.awaits_payer, payment.redirect_url) == (False, "")


class TestExpiryAgainstLateVoid:
    def test_releases_once(self, processor: FakeProcessor) -> None:
        payment = payment_in(S.AUTHORISED)
        gone = given_up(void(payment))
        expire_holds(now=loaded(payment).capture_before or NOW)
        record(Operation.objects.get(pk=gone.pk), "APPROVED")
        run()
        assert loaded(payment).status == "EXPIRED"
        assert len(told("Payment.Transaction.Expired")) == 1
        assert told("Payment.Transaction.Voided") == []
