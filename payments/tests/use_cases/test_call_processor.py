"""Calling a processor: sent when nothing is in doubt, asked about when anything is."""

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import OutcomeKind
from payments.tests.conftest import FakeProcessor, payment_in, planned
from payments.use_cases.call_processor import call_processor

pytestmark = pytest.mark.django_db


class TestCallProcessor:
    def test_sends_what_was_never_sent(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING))
        assert call_processor(operation=operation).kind == OutcomeKind.APPROVED
        assert processor.calls == [("authorise", operation.pk)]

    def test_asks_about_what_is_in_doubt(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING), outcome="UNKNOWN")
        assert call_processor(operation=operation).kind == OutcomeKind.NOT_SENT
        assert processor.calls == [("inquire", operation.pk)]
        assert processor.book == {}

    def test_touches_no_row(self, processor: FakeProcessor) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING))
        call_processor(operation=operation)
        operation.refresh_from_db()
        assert (operation.outcome, operation.sends) == ("", 0)

    def test_knows_no_processor_that_is_not_registered(self) -> None:
        operation = planned(payment_in(PaymentStatus.PENDING), processor="nobody")
        with pytest.raises(KeyError):
            call_processor(operation=operation)
