"""Voiding: the hold is closed before the processor is asked."""

from functools import partial

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment
from payments.tests.conftest import (
    DEADLINE,
    NOW,
    FakeProcessor,
    demand,
    loaded,
    payment_in,
    refusal_of,
    run,
)
from payments.tests.use_cases.test_capture_payment import capture
from payments.use_cases.void_payment import void_payment
from shared.identifiers import new_id
from shared.testing.events import told

pytestmark = pytest.mark.django_db

VOIDED = "Payment.Transaction.Voided"
ALLOWED = {PaymentStatus.AUTHORISED: "VOIDED", PaymentStatus.PARTIALLY_CAPTURED: "CAPTURED"}


def void(payment: Payment) -> Operation:
    return void_payment(demand=demand(payment), now=NOW)


class TestVoidPayment:
    def test_closes_the_hold_and_says_nothing_yet(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        operation = void(payment)
        assert (operation.kind, operation.purpose, operation.amount_minor) == (
            "VOID",
            "MERCHANT",
            25_000,
        )
        assert (loaded(payment).status, loaded(payment).is_closing) == ("AUTHORISED", True)
        assert refusal_of(lambda: capture(payment)) == "payment_not_capturable"
        assert told(VOIDED) == []

    @pytest.mark.parametrize("status", PaymentStatus)
    def test_is_refused_in_every_status_without_a_hold(
        self, processor: FakeProcessor, status: PaymentStatus
    ) -> None:
        payment = payment_in(status)
        refused = refusal_of(lambda: void(payment))
        run()
        assert refused == ("" if status in ALLOWED else "payment_not_voidable")
        assert loaded(payment).status == ALLOWED.get(status, status)
        assert processor.verbs() == (["void"] if status in ALLOWED else [])

    def test_releases_what_was_not_captured(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.PARTIALLY_CAPTURED)
        operation = void(payment)
        run()
        (event,) = told(VOIDED)
        assert (event["released_amount_minor"], event["operation_id"]) == (
            15_000,
            str(operation.pk),
        )
        assert (loaded(payment).captured_minor, loaded(payment).released_minor) == (10_000, 15_000)

    def test_is_refused_while_another_or_a_capture_is_in_flight(self) -> None:
        voided, captured = (payment_in(PaymentStatus.AUTHORISED) for _ in range(2))
        void(voided)
        capture(captured, 1, is_final=False)
        for payment in (voided, captured):
            assert refusal_of(partial(void, payment)) == "payment_not_voidable"
        assert Operation.objects.filter(kind="VOID").count() == 1

    def test_is_still_taken_when_the_time_to_capture_is_over(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        assert void_payment(demand=demand(payment), now=DEADLINE).kind == "VOID"

    def test_finds_no_payment_of_another_merchant(self) -> None:
        asked = demand(payment_in(PaymentStatus.AUTHORISED), merchant_id=new_id())
        assert refusal_of(lambda: void_payment(demand=asked, now=NOW)) == "payment_not_found"
