"""Confirming: the second person's word counts as the processor's own, until that speaks."""

from datetime import datetime

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Instruction, Outcome, OutcomeKind
from payments.models import CircuitBreaker, Operation, Payment, Resolution
from payments.tests.conftest import (
    NOW,
    FakeProcessor,
    claimed,
    loaded,
    payment_in,
    planned,
    refusal_of,
    run,
)
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_propose_resolution import doubtful, propose
from payments.tests.use_cases.test_refund_payment import refund
from payments.use_cases.confirm_resolution import confirm_resolution
from shared import clock
from shared.event_bus import DISPATCHER, drain
from shared.testing.events import told
from shared.testing.races import race

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("processor")]

S = PaymentStatus
TAKEN = "Operator.Action.Taken"


def confirm(resolution: Resolution, by: str = "oscar", now: datetime = NOW) -> None:
    confirm_resolution(resolution_id=resolution.pk, actor=by, reason="I called, too", now=now)


def agreed(operation: Operation, verdict: str, reference: str = "") -> tuple[Payment, Operation]:
    """Payment and operation after two people agreed."""
    confirm(propose(operation, verdict, processor_reference=reference))
    operation.refresh_from_db()
    return loaded(operation.payment), operation


def held() -> Operation:
    return claimed(planned(payment_in(S.PENDING)), outcome="UNKNOWN", ended=1, sends=1)


class TestConfirmResolution:
    def test_that_it_was_done_books_it(self) -> None:
        payment, operation = agreed(doubtful(), "APPROVED")
        assert (payment.status, payment.in_doubt, operation.verdict) == (
            "CAPTURED",
            False,
            "APPROVED",
        )
        assert (operation.reason, operation.due_at) == ("resolved_by_people", None)
        assert len(told("Payment.Transaction.Captured")) == 1

    def test_that_it_was_not_gives_the_amount_back(self) -> None:
        payment, operation = agreed(doubtful(), "FAILED")
        assert (payment.status, payment.capturing_minor) == ("AUTHORISED", 0)
        assert (operation.verdict, payment.is_closing) == ("FAILED", False)

    def test_of_a_hold_names_its_reference_or_fails_the_payment(
        self, backup: FakeProcessor
    ) -> None:
        payment, _ = agreed(held(), "APPROVED", "ref-7")
        assert (payment.status, payment.processor_reference) == ("AUTHORISED", "ref-7")
        payment, _ = agreed(held(), "FAILED")
        assert (payment.status, payment.failure_reason) == ("FAILED", "resolved_by_people")
        assert backup.calls == []

    def test_is_told(self) -> None:
        _, operation = agreed(doubtful(), "FAILED")
        told_of = [(event["actor"], event["action"], event["subject"]) for event in told(TAKEN)]
        assert told_of == [
            ("olga", "payments.resolution.propose_failed", str(operation.pk)),
            ("oscar", "payments.resolution.confirm", str(operation.pk)),
        ]

    def test_takes_two_people(self) -> None:
        resolution = propose(doubtful())
        assert refusal_of(lambda: confirm(resolution, "olga")) == "takes_two_people"
        resolution.refresh_from_db()
        assert resolution.is_open
        assert Operation.objects.get().is_open

    def test_happens_once(self) -> None:
        resolution = propose(doubtful(), "APPROVED")
        codes = race([lambda: refusal_of(lambda: confirm(resolution))] * 6)
        assert sorted(codes) == [""] + ["already_decided"] * 5
        assert len(told("Payment.Transaction.Captured")) == 1

    def test_is_refused_when_the_processor_has_answered_meanwhile(self) -> None:
        operation = doubtful()
        resolution = propose(operation)
        Operation.objects.filter(pk=operation.pk).update(outcome="APPROVED", verdict="APPROVED")
        assert refusal_of(lambda: confirm(resolution)) == "operation_not_in_doubt"
        resolution.refresh_from_db()
        assert resolution.is_open

    def test_ends_what_was_parked(self) -> None:
        parked = doubtful(outcome="", due_at=None, parked_at=NOW, last_error="KeyError: 'gone'")
        payment, operation = agreed(parked, "FAILED")
        assert (operation.verdict, operation.is_parked, operation.last_error) == (
            "FAILED",
            False,
            "",
        )
        assert payment.capturing_minor == 0

    def test_says_nothing_of_the_processors_health(self) -> None:
        CircuitBreaker.objects.note_silence("sandbox", 3, now=NOW)
        agreed(doubtful(), "APPROVED")
        agreed(doubtful(), "FAILED")
        assert CircuitBreaker.objects.get().failures == 3


class TestWorkerInFlight:
    @pytest.mark.parametrize(
        ("verdict", "status"), [("APPROVED", "CAPTURED"), ("FAILED", "AUTHORISED")]
    )
    def test_finds_its_claim_void(
        self, processor: FakeProcessor, verdict: str, status: str
    ) -> None:
        payment = payment_in(S.AUTHORISED)
        operation = capture(payment)
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)]
        run()
        resolution = propose(operation, verdict)

        def answer_while_people_agree(instruction: Instruction) -> Outcome:
            confirm(resolution, now=clock.now())
            return Outcome(OutcomeKind.APPROVED, "late-1")

        processor.inquire = answer_while_people_agree  # type: ignore[method-assign]
        drain(DISPATCHER)
        operation.refresh_from_db()
        assert (loaded(payment).status, operation.verdict) == (status, verdict)
        assert operation.reason == "resolved_by_people"
        assert (operation.failures, operation.last_error) == (0, "")  # dropped, not refused
        assert len(told("Payment.Transaction.Captured")) == (verdict == "APPROVED")


class TestTheProcessorLater:
    def test_says_it_was_done_after_all_and_that_is_booked(self, processor: FakeProcessor) -> None:
        payment = payment_in(S.CAPTURED)
        operation = refund(payment)
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)]
        run()
        agreed(operation, "FAILED")
        assert (loaded(payment).status, len(told("Payment.Refund.Failed"))) == ("CAPTURED", 1)
        run(2)
        operation.refresh_from_db()
        assert (loaded(payment).status, operation.reason) == ("REFUNDED", "late")

    def test_says_a_hold_was_made_after_all_and_that_is_released(
        self, processor: FakeProcessor
    ) -> None:
        operation = held()
        processor.book[operation.pk] = Outcome(OutcomeKind.APPROVED, "ref-8")
        payment, _ = agreed(operation, "FAILED")
        run(3)
        assert loaded(payment).status == "FAILED"
        assert processor.verbs() == ["inquire", "void"]
        assert processor.asked[0].authorisation_reference == "ref-8"

    def test_says_the_same_and_nothing_happens(self, processor: FakeProcessor) -> None:
        agreed(held(), "FAILED")
        before = Payment.objects.values().get()
        run(6)
        assert processor.verbs() == ["inquire"] * 3
        assert Payment.objects.values().get() == before
