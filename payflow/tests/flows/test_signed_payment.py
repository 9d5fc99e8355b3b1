"""The story of the product: a signed payment runs the whole chain."""

from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.test import Client

from shared.event_bus import drain
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> SigningClient:
    answer = Client().post(
        "/api/v1/merchants/register",
        {"name": "Acme Corp", "email": "merchant@example.com"},
        content_type="application/json",
    )
    assert answer.status_code == 201, answer.content
    return SigningClient(answer.json()["merchantId"], answer.json()["apiKey"])


def payment_body(**changes: Any) -> dict[str, Any]:
    return {
        "payeeAccountId": str(uuid4()),
        "idempotencyKey": "key-001",
        "amount": "250.00",
        "currency": "USD",
        "paymentMethod": {"type": "CARD", "token": "tok_test"},
    } | changes


class TestSignedPayment:
    def test_runs_the_whole_chain(self, merchant: SigningClient) -> None:
        accepted = merchant.post("/payments", payment_body())
        assert accepted.status_code == 202, accepted.content
        assert accepted.json()["status"] == "PENDING"
        payment_id = accepted.json()["paymentId"]

        drain()

        payment = merchant.get(f"/payments/{payment_id}").json()
        assert payment["status"] == "AUTHORISED"
        assert payment["ledgerBalance"] == "0.00"
        assert [entry["type"] for entry in payment["ledgerEntries"]] == ["AUTH"]
        story = merchant.get(f"/payments/{payment_id}/events").json()["data"]
        assert [
            event["eventType"]
            for event in story
            if not event["eventType"].startswith("Notification.")
        ] == [
            "Payment.Transaction.Initiated",
            "Fraud.Assessment.Completed",
            "Payment.Transaction.Authorised",
            "Ledger.Entry.Posted",
        ]
        assert [message.subject for message in mail.outbox] == [
            "Welcome to PayFlow",
            "Payment of 250.00 USD authorised",
        ]
