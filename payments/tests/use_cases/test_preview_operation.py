"""Previews: what would happen, and no row that tells of it."""

from functools import partial
from typing import Any

import pytest
from django.apps import apps

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import OperationKind
from payments.models import Payment
from payments.tests.conftest import (
    DEADLINE,
    NOW,
    FakeProcessor,
    loaded,
    payment_in,
    refusal_of,
    run,
)
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.preview_operation import Preview, preview_operation
from shared.identifiers import new_id
from shared.testing.events import told

pytestmark = pytest.mark.django_db

S, K = PaymentStatus, OperationKind
ASK = {
    K.CAPTURE: lambda payment, amount: capture(payment, amount),
    K.VOID: lambda payment, amount: void(payment),
    K.REFUND: lambda payment, amount: refund(payment, amount),
}
PREVIEWED = [
    (S.AUTHORISED, K.CAPTURE, 10_000),
    (S.AUTHORISED, K.CAPTURE, None),
    (S.PARTIALLY_CAPTURED, K.CAPTURE, 5_000),
    (S.AUTHORISED, K.VOID, None),
    (S.PARTIALLY_CAPTURED, K.VOID, None),
    (S.PARTIALLY_CAPTURED, K.REFUND, 4_000),
    (S.CAPTURED, K.REFUND, 4_000),
    (S.PARTIALLY_REFUNDED, K.REFUND, None),
]


def preview(payment: Payment, kind: OperationKind, amount: int | None, **facts: Any) -> Preview:
    asked: dict[str, Any] = {
        "merchant_id": payment.merchant_id,
        "payment_id": payment.pk,
        "now": NOW,
    } | facts
    return preview_operation(kind=kind, amount_minor=amount, **asked)


def everything() -> dict[str, list[Any]]:
    """All rows of all tables of ours, but for what counts requests."""
    counting = {"shared.RateBucket", "merchants.ApiKey"}
    ours = ("payments", "shared", "ledger", "fraud", "notifications", "audit", "merchants")
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.app_label in ours and model._meta.label not in counting
        if ".tests." not in model.__module__
    }


class TestPreviewOperation:
    @pytest.mark.parametrize(("status", "kind", "amount"), PREVIEWED)
    def test_tells_what_would_become_of_it_and_writes_nothing(
        self, processor: FakeProcessor, status: PaymentStatus, kind: OperationKind, amount: int
    ) -> None:
        payment = payment_in(status)
        before = everything()
        seen = preview(payment, kind, amount)
        assert everything() == before
        assert processor.calls == []

        ASK[kind](payment, amount)
        run()

        after = loaded(payment)
        for name in ("status", "captured_minor", "refunded_minor", "released_minor"):
            assert getattr(seen.payment, name) == getattr(after, name)
        (event,) = told(seen.event.event_type)
        differ = {"operation_id", "refund_id"}
        promised = {name: value for name, value in event.items() if name not in differ}
        assert promised.items() <= vars(seen.event).items()

    @pytest.mark.parametrize("status", S)
    @pytest.mark.parametrize("kind", [K.CAPTURE, K.VOID, K.REFUND])
    def test_refuses_what_would_be_refused(
        self, status: PaymentStatus, kind: OperationKind
    ) -> None:
        payment = payment_in(status)
        previewed = refusal_of(lambda: preview(payment, kind, 1))
        assert previewed == refusal_of(lambda: ASK[kind](payment, 1))

    def test_refuses_what_is_reserved_and_too_much_and_too_late(self) -> None:
        payment = payment_in(S.AUTHORISED)
        for amount, at, code in (
            (25_001, NOW, "capture_exceeds_authorisation"),
            (1, DEADLINE, "payment_not_capturable"),
        ):
            refused = refusal_of(partial(preview, payment, K.CAPTURE, amount, now=at))
            assert refused == code
        void(payment)
        assert refusal_of(lambda: preview(payment, K.CAPTURE, 1)) == "payment_not_capturable"

    def test_finds_no_payment_of_another_merchant(self) -> None:
        payment = payment_in(S.AUTHORISED)
        refused = refusal_of(lambda: preview(payment, K.VOID, None, merchant_id=new_id()))
        assert refused == "payment_not_found"
