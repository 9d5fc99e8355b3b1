"""A single-process deployment: the web process drains, and a request waits for its decision."""

from contextlib import closing
from pathlib import Path

import pytest

from payflow.client import Client
from payflow.runtime.scratch import free_port
from payflow.tests import processes
from payflow.tests.flows.test_kill import registered

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

BODY = {
    "payeeAccountId": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    "idempotencyKey": "key-001",
    "amount": "250.00",
    "currency": "USD",
    "paymentMethod": {"type": "CARD", "token": "tok_test"},
}


class TestDispatchInWeb:
    def test_decides_a_payment_without_a_dispatcher_process(self, tmp_path: Path) -> None:
        at = f"http://127.0.0.1:{(port := free_port())}/api/v1"
        signing = registered()
        with processes.web(tmp_path, port, PAYFLOW_DISPATCH="web") as web:
            web.start()

            with closing(Client(at, signing.merchant_id, signing.api_key)) as client:
                answer = client.post("/payments/authorize", BODY)

        assert answer.status == 201, answer.body
        assert answer.document["status"] == "AUTHORISED"
