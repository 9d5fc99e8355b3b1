"""Refunding: reserved before the processor is asked, given back when it was not done."""

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import (
    NOW,
    FakeProcessor,
    demand,
    loaded,
    payment_in,
    refusal_of,
    run,
)
from payments.use_cases.refund_payment import refund_payment
from shared.identifiers import new_id
from shared.testing.events import told

pytestmark = pytest.mark.django_db

REFUNDED, REFUND_FAILED = "Payment.Transaction.Refunded", "Payment.Refund.Failed"
REFUSED = dict.fromkeys(PaymentStatus, "payment_not_refundable") | {
    PaymentStatus.PARTIALLY_CAPTURED: "",
    PaymentStatus.CAPTURED: "",
    PaymentStatus.PARTIALLY_REFUNDED: "",
    PaymentStatus.REFUNDED: "refund_exceeds_captured",
}


def refund(payment: Payment, amount_minor: int | None = None, reason: str = "") -> Operation:
    return refund_payment(demand=demand(payment), amount_minor=amount_minor, reason=reason, now=NOW)


class TestRefundPayment:
    def test_reserves_and_plans_and_says_nothing_yet(self) -> None:
        payment = payment_in(PaymentStatus.CAPTURED)
        operation = refund(payment, 4_000, "torn")
        assert (operation.kind, operation.amount_minor) == ("REFUND", 4_000)
        assert operation.merchant_reason == "torn"
        stored = loaded(payment)
        assert (stored.status, stored.refunding_minor, stored.refunded_minor) == (
            "CAPTURED",
            4_000,
            0,
        )
        assert told(REFUNDED) == []

    def test_gives_back_what_the_processor_gave_back(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.CAPTURED)
        refunds = [refund(payment, 4_000, "torn"), refund(payment)]
        run()
        assert [event["refund_id"] for event in told(REFUNDED)] == [str(r.pk) for r in refunds]
        assert [
            (event["refunded_amount_minor"], event["total_refunded_amount_minor"], event["reason"])
            for event in told(REFUNDED)
        ] == [(4_000, 4_000, "torn"), (6_000, 10_000, "")]
        assert (loaded(payment).status, loaded(payment).refunding_minor) == ("REFUNDED", 0)

    @pytest.mark.parametrize("status", PaymentStatus)
    def test_is_refused_where_nothing_is_left_of_a_capture(self, status: PaymentStatus) -> None:
        payment = payment_in(status)
        assert refusal_of(lambda: refund(payment, 1)) == REFUSED[status]
        assert Operation.objects.exists() is not bool(REFUSED[status])

    def test_refuses_more_than_was_captured_whatever_is_held(self) -> None:
        payment = payment_in(PaymentStatus.PARTIALLY_CAPTURED)
        assert refusal_of(lambda: refund(payment, 10_001)) == "refund_exceeds_captured"
        assert refund(payment).amount_minor == 10_000

    def test_while_some_is_held_changes_the_amount_and_not_the_status(
        self, processor: FakeProcessor
    ) -> None:
        payment = payment_in(PaymentStatus.PARTIALLY_CAPTURED)
        refund(payment)
        run()
        assert (loaded(payment).status, loaded(payment).refunded_minor) == (
            "PARTIALLY_CAPTURED",
            10_000,
        )

    def test_takes_what_fits_beside_one_that_is_unknown(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.CAPTURED)
        refund(payment, 6_000)
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)]
        run()
        assert loaded(payment).in_doubt
        assert refusal_of(lambda: refund(payment, 4_001)) == "refund_exceeds_captured"
        assert refund(payment, 4_000).amount_minor == 4_000

    def test_that_was_declined_can_be_asked_for_again(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.CAPTURED)
        declined = refund(payment)
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason="account_closed")]
        run()
        (event,) = told(REFUND_FAILED)
        assert (event["refund_id"], event["reason"]) == (str(declined.pk), "account_closed")
        assert event["refund_amount_minor"] == 10_000
        assert loaded(payment).status == "CAPTURED"
        refund(payment)
        run()
        assert loaded(payment).status == "REFUNDED"

    def test_finds_no_payment_of_another_merchant(self) -> None:
        asked = demand(payment_in(PaymentStatus.CAPTURED), merchant_id=new_id())
        refused = refusal_of(
            lambda: refund_payment(demand=asked, amount_minor=1, reason="", now=NOW)
        )
        assert refused == "payment_not_found"
