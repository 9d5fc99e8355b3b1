"""Calling a processor: sent when nothing is in doubt, asked about when anything is."""

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation
from payments.tests.conftest import NOW, FakeProcessor, claimed, payment_in, planned
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.call_processor import call_processor
from payments.use_cases.prepare_calls import prepare_calls

pytestmark = pytest.mark.django_db


def call(operation: Operation) -> Outcome | None:
    (prepared,) = prepare_calls(operations=[operation], now=NOW)
    return call_processor(call=prepared)


class TestCallProcessor:
    def test_sends_what_was_never_sent(self, processor: FakeProcessor) -> None:
        operations = [
            planned(payment_in(PaymentStatus.PENDING)),
            claimed(capture(payment_in(PaymentStatus.AUTHORISED))),
            claimed(void(payment_in(PaymentStatus.AUTHORISED))),
            claimed(refund(payment_in(PaymentStatus.CAPTURED))),
        ]
        for operation in operations:
            outcome = call(operation)
            assert outcome is not None and outcome.kind == OutcomeKind.APPROVED
        verbs = ["authorise", "capture", "void", "refund"]
        assert processor.calls == [
            (verb, operation.pk) for verb, operation in zip(verbs, operations, strict=True)
        ]

    def test_asks_about_what_is_in_doubt(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING), outcome="UNKNOWN")
        outcome = call(operation)
        assert outcome is not None and outcome.kind == OutcomeKind.NOT_SENT
        assert processor.calls == [("inquire", operation.pk)]
        assert processor.book == {}

    def test_does_not_call_before_its_turn(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        capture(payment, 1, is_final=False)
        assert call(claimed(capture(payment, 2, is_final=True))) is None
        assert processor.calls == []

    def test_touches_no_row(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING))
        call(operation)
        operation.refresh_from_db()
        assert (operation.outcome, operation.sends) == ("", 0)

    def test_knows_no_processor_that_is_not_registered(self) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING), processor="nobody")
        with pytest.raises(KeyError):
            call(operation)
