"""What became of a payment, over HTTP: its refunds, its steps, and callbacks from processors."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment
from payments.tests.api.conftest import ask, payment_of
from payments.tests.conftest import FakeProcessor, claimed, loaded, planned, run
from shared import clock
from shared.event_bus import DISPATCHER, drain
from shared.testing.api import Written, refused
from shared.testing.signing import JSON, SigningClient

pytestmark = pytest.mark.django_db

S = PaymentStatus


class TestRefunds:
    def test_are_listed_newest_first_with_what_became_of_them(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.CAPTURED)
        for amount in ("10.00", "20.00"):
            ask(merchant, payment, "refund", wait=0, amount=amount)
            run()
        ask(merchant, payment, "refund", wait=0, amount="30.00")
        listed = merchant.get(f"/payments/{payment.pk}/refunds").json()
        assert [(one["refundedAmount"], one["status"]) for one in listed["data"]] == [
            ("30.00", "PENDING"),
            ("20.00", "REFUNDED"),
            ("10.00", "REFUNDED"),
        ]
        assert listed["nextCursor"] is None
        for one in listed["data"]:
            assert merchant.get(f"/refunds/{one['refundId']}").json() == one

    def test_come_in_pages(self, merchant: SigningClient) -> None:
        payment, seen, query = payment_of(merchant, S.CAPTURED), list[str](), "limit=2"
        for _ in range(5):
            ask(merchant, payment, "refund", wait=0, amount="1.00")
        address = f"/payments/{payment.pk}/refunds"
        while query:
            page = merchant.get(f"{address}?{query}").json()
            seen += [one["refundId"] for one in page["data"]]
            query = f"limit=2&cursor={page['nextCursor']}" if page["nextCursor"] else ""
        assert len(seen) == len(set(seen)) == 5

    def test_hold_no_captures_and_no_reversals(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.PARTIALLY_CAPTURED)
        ask(merchant, payment, "capture", wait=0)
        ask(merchant, payment, "refund", wait=0)
        Operation.objects.filter(kind="REFUND").update(purpose="REVERSAL")
        assert merchant.get(f"/payments/{payment.pk}/refunds").json()["data"] == []
        for operation in Operation.objects.all():
            refused(merchant.get(f"/refunds/{operation.pk}"), 404, "refund_not_found")

    def test_of_nobody_are_not_found(self, merchant: SigningClient) -> None:
        refused(merchant.get(f"/payments/{uuid4()}/refunds"), 404, "payment_not_found")
        refused(merchant.get(f"/refunds/{uuid4()}"), 404, "refund_not_found")


class TestHistory:
    def test_tells_every_step_oldest_first(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.REFUNDED)
        answer = merchant.get(f"/payments/{payment.pk}/history")
        assert answer.status_code == 200
        steps = answer.json()["data"]
        assert [(step["statusFrom"], step["statusTo"]) for step in steps] == [
            (None, "PENDING"),
            ("PENDING", "AUTHORISED"),
            ("AUTHORISED", "CAPTURED"),
            ("CAPTURED", "REFUNDED"),
        ]
        assert {step["at"] for step in steps} == {"2026-06-01T12:00:00.000000Z"}
        assert not any("reason" in step for step in steps)

    def test_says_why_it_ended(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.DECLINED)
        steps = merchant.get(f"/payments/{payment.pk}/history").json()["data"]
        assert steps[-1]["reason"] == "do_not_honor"

    def test_of_nobody_is_not_found(self, merchant: SigningClient) -> None:
        refused(merchant.get(f"/payments/{uuid4()}/history"), 404, "payment_not_found")


class TestCallback:
    SIGNED = {"HTTP_X_FAKE_SIGNATURE": "signed"}

    def call(self, processor: str, body: str, **headers: str) -> Any:
        client: Any = Client(raise_request_exception=False)
        return client.generic(
            "POST", f"/api/v1/processor-callbacks/{processor}", body, JSON, **headers
        )

    def waiting(self, merchant: SigningClient) -> Operation:
        payment = payment_of(merchant, S.PENDING)
        later = clock.now() + timedelta(days=1)
        return claimed(planned(payment), outcome="UNKNOWN", ended=1, sends=1, due_at=later)

    def test_needs_no_merchant_and_has_the_processor_asked(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        operation = self.waiting(merchant)
        for _ in range(2):
            answer = self.call("sandbox", str(operation.pk), **self.SIGNED)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        drain(DISPATCHER)
        assert processor.calls == [("inquire", operation.pk)]
        assert loaded(operation.payment).status == "PENDING"

    def test_while_we_are_asking_is_to_be_sent_again(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        operation = self.waiting(merchant)
        Operation.objects.filter(pk=operation.pk).update(attempts=2)
        before = Written.now()
        answer = self.call("sandbox", str(operation.pk), **self.SIGNED)
        refused(answer, 409, "operation_under_way")
        assert Written.now() == before

    def test_of_somebody_else_is_refused(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        operation = self.waiting(merchant)
        drain()
        before = Written.now()
        unsigned: dict[str, str] = {}
        for headers in (unsigned, {"HTTP_X_FAKE_SIGNATURE": "forged"}):
            answer = self.call("sandbox", str(operation.pk), **headers)
            refused(answer, 401, "callback_refused")
        refused(self.call("nobody", "x", **self.SIGNED), 404, "processor_not_found")
        refused(self.call("no%20slug", "x", **self.SIGNED), 404, "not_found")
        drain(DISPATCHER)
        assert (Written.now(), processor.calls) == (before, [])

    def test_about_nothing_of_ours_is_taken(self, processor: FakeProcessor) -> None:
        for body in ("", str(uuid4())):
            answer = self.call("sandbox", body, **self.SIGNED)
            assert answer.status_code == 200
        assert not Payment.objects.exists()
