"""A suspended merchant: reads are answered, changes refused, everywhere."""

import json
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from merchants.models import Merchant
from merchants.tests.keys import ROTATE, status
from shared import clock
from shared.testing.api import Written, payment_body, refused, registered_merchant, send_v2
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def suspended(merchant: SigningClient) -> SigningClient:
    """A merchant with a payment, suspended since."""
    assert status(merchant) == 200
    merchant.post("/payments", payment_body())
    suspend(merchant)
    return merchant


def suspend(merchant: SigningClient) -> None:
    Merchant.objects.get(pk=UUID(merchant.merchant_id)).suspend(now=clock.now())


class TestSuspendedMerchant:
    def test_reads(self, suspended: SigningClient) -> None:
        for path in ("/merchants/me", "/merchants/keys", "/payments", "/audit/events"):
            assert suspended.get(path).status_code == 200, path
        assert len(suspended.get("/payments").json()["data"]) == 1

    def test_changes_nothing(self, suspended: SigningClient) -> None:
        before, some = Written.now(), uuid4()
        for method, path, body in (
            ("POST", "/payments", payment_body()),
            ("POST", "/payments/authorize", payment_body()),
            ("POST", f"/payments/{some}/capture", {"idempotencyKey": "k"}),
            ("POST", f"/payments/{some}/void", {"idempotencyKey": "k"}),
            ("POST", f"/payments/{some}/refund", {"idempotencyKey": "k", "dryRun": True}),
            ("POST", "/payments/cancel-by-key", {"idempotencyKey": "k", "cancelKey": "c"}),
            ("POST", "/tokens", {"idempotencyKey": "k"}),
            ("DELETE", "/tokens/tok_test", {"idempotencyKey": "k"}),
            ("POST", ROTATE, {"idempotencyKey": "k"}),
            ("DELETE", f"/merchants/keys/{some}", {"idempotencyKey": "k"}),
        ):
            answer = send_v2(suspended, method, path, json.dumps(body).encode())
            refused(answer, 403, "merchant_suspended")
        assert Written.now() == before

    def test_is_told_of_a_wrong_signature_first(self, suspended: SigningClient) -> None:
        suspended.api_key += "x"
        refused(suspended.post("/payments", payment_body()), 401, "invalid_signature")

    def test_goes_on_once_resumed(self, suspended: SigningClient) -> None:
        Merchant.objects.get().resume()
        assert suspended.post("/payments", payment_body()).status_code == 202

    def test_keeps_nobody_else_from_anything(self, suspended: SigningClient) -> None:
        assert registered_merchant().post("/payments", payment_body()).status_code == 202

    def test_costs_no_statement(self, merchant: SigningClient) -> None:
        merchant.post("/payments", payment_body())

        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                merchant.post("/payments", payment_body())
            return len(queries)

        usual = statements()
        suspend(merchant)
        assert statements() == 1 < usual  # the keys, with their merchant
