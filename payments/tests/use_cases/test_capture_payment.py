"""Capturing: reserved before the processor is asked, refused in every status but two."""

from functools import partial
from typing import Any

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
from payments.use_cases.capture_payment import capture_payment
from payments.use_cases.place_operation import Demand
from shared.identifiers import new_id
from shared.testing.events import told

pytestmark = pytest.mark.django_db

CAPTURED = "Payment.Transaction.Captured"
REFUSED = dict.fromkeys(PaymentStatus, "payment_not_capturable") | {
    PaymentStatus.AUTHORISED: "",
    PaymentStatus.PARTIALLY_CAPTURED: "",
    PaymentStatus.CAPTURED: "already_captured",
    PaymentStatus.PARTIALLY_REFUNDED: "already_captured",
    PaymentStatus.REFUNDED: "already_captured",
}


def capture(payment: Payment, amount_minor: int | None = None, **changes: Any) -> Operation:
    asked = changes.pop("demand", None) or demand(payment)
    facts: dict[str, Any] = {"is_final": True, "now": NOW} | changes
    return capture_payment(demand=asked, amount_minor=amount_minor, **facts)


class TestCapturePayment:
    def test_reserves_and_plans_and_says_nothing_yet(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        asked = demand(payment, metadata={"parcel": "1"})
        operation = capture(payment, 10_000, demand=asked)
        stored = Operation.objects.get()
        assert stored == operation
        assert (stored.kind, stored.purpose, stored.amount_minor) == ("CAPTURE", "MERCHANT", 10_000)
        assert (stored.idempotency_key, stored.metadata) == (asked.idempotency_key, asked.metadata)
        assert stored.due_at is not None
        assert (loaded(payment).status, loaded(payment).capturing_minor) == ("AUTHORISED", 10_000)
        assert told(CAPTURED) == []

    def test_takes_what_the_processor_took(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        operation = capture(payment, 10_000)
        run()
        (asked,) = processor.asked
        assert (asked.amount_minor, asked.currency, asked.is_final) == (10_000, "USD", True)
        assert asked.authorisation_reference == "ref_1"
        (event,) = told(CAPTURED)
        assert event["operation_id"] == str(operation.pk)
        assert event == event | {
            "captured_amount_minor": 10_000,
            "total_captured_amount_minor": 10_000,
            "released_amount_minor": 15_000,
            "is_final": True,
        }
        assert loaded(payment).status == "CAPTURED"

    def test_in_parts_leads_to_the_whole(self, processor: FakeProcessor) -> None:
        payment, statuses = payment_in(PaymentStatus.AUTHORISED), []
        for amount, is_final in ((5_000, False), (6_000, False), (None, True)):
            capture(payment, amount, is_final=is_final)
            run()
            statuses.append(loaded(payment).status)
        assert statuses == ["PARTIALLY_CAPTURED", "PARTIALLY_CAPTURED", "CAPTURED"]
        totals = [event["total_captured_amount_minor"] for event in told(CAPTURED)]
        assert totals == [5_000, 11_000, 25_000]
        assert [event["released_amount_minor"] for event in told(CAPTURED)] == [0, 0, 0]

    @pytest.mark.parametrize("status", PaymentStatus)
    def test_is_refused_in_every_other_status(self, status: PaymentStatus) -> None:
        payment = payment_in(status)
        before = Payment.objects.values().get()
        assert refusal_of(lambda: capture(payment, 1)) == REFUSED[status]
        assert Operation.objects.exists() is not bool(REFUSED[status])
        if REFUSED[status]:
            assert Payment.objects.values().get() == before

    def test_is_refused_once_the_time_is_over(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        late = refusal_of(lambda: capture(payment, now=DEADLINE))
        assert late == "payment_not_capturable"

    @pytest.mark.parametrize("amount_minor", [25_001, 10**15])
    def test_refuses_more_than_was_authorised(self, amount_minor: int) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        refused = refusal_of(lambda: capture(payment, amount_minor))
        assert refused == "capture_exceeds_authorisation"

    def test_refuses_what_another_has_reserved(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        capture(payment, 15_000, is_final=False)
        too_much = refusal_of(lambda: capture(payment, 10_001))
        assert too_much == "capture_exceeds_authorisation"
        assert capture(payment, 10_000).amount_minor == 10_000

    def test_finds_no_payment_of_another_merchant(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        for facts in ({"merchant_id": new_id()}, {"payment_id": new_id()}):
            asked = demand(payment, **facts)
            refused = refusal_of(partial(capture, payment, demand=asked))
            assert refused == "payment_not_found"

    def test_refuses_a_key_whose_answer_is_no_longer_kept(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        asked = demand(payment)
        capture(payment, 1, is_final=False, demand=asked)
        again = Demand(**vars(asked))
        refused = refusal_of(lambda: capture(payment, 1, is_final=False, demand=again))
        assert refused == "idempotency_key_expired"
        assert loaded(payment).capturing_minor == 1
