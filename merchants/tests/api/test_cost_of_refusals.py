"""What a request costs that is not signed: the same, whatever is wrong with it."""

import hmac
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from merchants.tests.keys import rotate
from merchants.tests.use_cases.test_verify_request import Work, watch
from shared import crypto
from shared.testing.api import refused
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

ID, TIME, SIGNATURE = "HTTP_X_MERCHANT_ID", "HTTP_X_TIMESTAMP", "HTTP_X_SIGNATURE"


def cost(merchant: SigningClient, **headers: str) -> Work:
    """Statements and crypto of a payment that is refused for these headers."""
    body = b"{}"
    signed = merchant.signed_headers(body) | headers
    sent = {name: value for name, value in signed.items() if value != "absent"}
    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as queries:
        unsealed = watch(patch, crypto, "unseal")
        hashed = watch(patch, hmac, "digest")
        answer = merchant.send_with("POST", "/payments", body, sent)
    refused(answer, 401, "invalid_signature")
    return Work(len(queries), len(unsealed), len(hashed))


class TestRefusal:
    def test_costs_the_same_over_http(self, merchant: SigningClient) -> None:
        rotate(merchant, 3600)
        stale = merchant.signed_headers(b"{}", at=1_700_000_000)
        wrong = {
            "signature": {SIGNATURE: "0" * 64},
            "signature of version 2": {SIGNATURE: "v2=" + "0" * 64},
            "malformed signature": {SIGNATURE: "x"},
            "no signature": {SIGNATURE: "absent"},
            "unknown merchant": {ID: str(uuid4())},
            "malformed merchant": {ID: "x"},
            "no merchant": {ID: "absent"},
            "stale, but right": stale,
            "malformed timestamp": {TIME: "nan"},
            "nothing": {ID: "absent", TIME: "absent", SIGNATURE: "absent"},
        }
        costs = {name: cost(merchant, **headers) for name, headers in wrong.items()}
        assert set(costs.values()) == {Work(1, 6, 7)}, costs
