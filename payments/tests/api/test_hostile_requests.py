"""Hostile requests, all correctly signed: refused as problems, and nothing is written (A9)."""

import json
import time
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import uuid4

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.tests.api.conftest import payment_of
from shared.testing.api import Written, payment_body, problem_in, refused
from shared.testing.signing import SigningClient
from shared.tests.http.test_parsing import MALFORMED
from shared.tests.test_money import NOT_AMOUNTS, NOT_CURRENCIES

pytestmark = pytest.mark.django_db

BOTH = ("/payments", "/payments/authorize")
NOT_TEXTS: list[Any] = [None, 1, 1.5, True, [], {}, ["x"], {"a": "b"}]
NOT_UUIDS: list[Any] = [
    *NOT_TEXTS,
    "",
    "x",
    "\x7f",
    str(uuid4()).upper(),
    uuid4().hex,
    f"{{{uuid4()}}}",
]
MASS_ASSIGNMENT = {
    "id": str(uuid4()),
    "paymentId": str(uuid4()),
    "merchantId": str(uuid4()),
    "merchant_id": str(uuid4()),
    "status": "CAPTURED",
    "fee": "0",
    "authorised": True,
    "authorisedAmount": "250.00",
    "amount_minor": 1,
    "correlationId": str(uuid4()),
    "createdAt": "2020-01-01T00:00:00Z",
    "Amount": "1.00",
    "amount ": "1.00",
    "": "",
    "__class__": "x",
    "constructor": {},
    "capture\u200b": True,
    "non_field_errors": "x",
}


WRONG: dict[str, list[Any]] = {
    "amount": [amount for amount in NOT_AMOUNTS if not isinstance(amount, bytes | Decimal)],
    "currency": [*NOT_CURRENCIES, *NOT_TEXTS],
    "payeeAccountId": NOT_UUIDS,
    "description": NOT_TEXTS,
    "paymentMethod": [
        *[None, "CARD", 1, [], ["CARD"], {}, {"type": "CARD", "token": "t", "cvc": "1"}],
        *[{"type": "CARD", "token": text} for text in NOT_TEXTS],
        *[{"type": text, "token": "t"} for text in NOT_TEXTS],
        *[{"type": text, "token": "t"} for text in ("card", "CASH", "", "CARD ", "x" * 10_000)],
    ],
    "metadata": [
        *[None, 1, "x", [], ["x"], [["a", "b"]], {"a": 1}, {"a": None}, {"a": True}, {"a": []}],
        *[{"a": {}}, {"a": {"b": {"c": "d"}}}, {"a": 1.5}, {str(n): "" for n in range(1000)}],
    ],
}
"""What is JSON and no such field of a payment."""


def operations_of(merchant: SigningClient) -> list[str]:
    """The addresses of everything that can be asked of a payment that would allow it."""
    payment = payment_of(merchant, PaymentStatus.PARTIALLY_CAPTURED)
    return [f"/payments/{payment.pk}/{verb}" for verb in ("capture", "void", "refund")]


class TestBody:
    def test_that_is_no_json_is_refused(self, merchant: SigningClient) -> None:
        operations = operations_of(merchant)
        before = Written.now()
        for name, body in MALFORMED.items():
            for path in (*BOTH, "/payments/cancel-by-key", *operations):
                answer = merchant.send("POST", path, body)
                assert problem_in(answer)["status"] in (400, 413), name
        assert Written.now() == before

    @pytest.mark.parametrize("field", WRONG)
    def test_that_is_no_payment_is_refused(self, merchant: SigningClient, field: str) -> None:
        before = Written.now()
        for value in WRONG[field]:
            answer = merchant.post("/payments", payment_body(**{field: value}))
            problem = problem_in(answer)
            assert problem["status"] == 400, value
            assert problem["code"] in ("validation_failed", "unknown_field", "malformed_body"), (
                value
            )
            assert len(answer.content) < 8192, value
        assert Written.now() == before

    def test_with_unknown_fields_is_refused_by_name(self, merchant: SigningClient) -> None:
        for name, value in MASS_ASSIGNMENT.items():
            refused(
                merchant.post("/payments", payment_body() | {name: value}), 400, "unknown_field"
            )

    def test_of_an_operation_with_unknown_fields_is_refused_by_name(
        self, merchant: SigningClient
    ) -> None:
        operations = operations_of(merchant)
        before = Written.now()
        for path, (name, value) in product(operations, MASS_ASSIGNMENT.items()):
            answer = merchant.post(path, {"idempotencyKey": "key-1", name: value})
            refused(answer, 400, "unknown_field")
        assert Written.now() == before

    def test_with_numbers_for_amounts_is_refused(self, merchant: SigningClient) -> None:
        plain = json.dumps(payment_body())
        for number in (
            "250",
            "250.00",
            "2.5e2",
            "1e400",
            "-0",
            "0." + "0" * 5000 + "1",
            "1" * 4000,
        ):
            body = plain.replace('"250.00"', number).encode()
            refused(merchant.send("POST", "/payments", body), 400, "validation_failed")

    def test_of_the_largest_size_is_read_quickly(self, merchant: SigningClient) -> None:
        for filling in (
            "x" * 65_000,
            "é" * 10_000,
            "4 " * 32_000,
            "4111-" * 13_000,
            "\\ud83d\\ude00" * 5_000,
        ):
            body = json.dumps(payment_body(description="@")).replace("@", filling).encode()
            started_at = time.process_time()
            answer = merchant.send("POST", "/payments", body)
            assert time.process_time() - started_at < 0.5
            assert problem_in(answer)["status"] in (400, 413)
        many = json.dumps({str(number): "" for number in range(4_000)}).encode()
        refused(merchant.send("POST", "/payments", many), 400, "unknown_field")


class TestAddress:
    def test_that_is_no_id_is_an_unknown_id(self, merchant: SigningClient) -> None:
        unknown = self.without_id(merchant.get(f"/payments/{uuid4()}"))
        for segment in (
            *["%00", "%ff", "%0d%0aX", "x" * 8000, "%2e%2e", "x;y", "%F0%9F%92%A9", "%20", "null"],
            *[str(uuid4()).upper(), uuid4().hex, f"{uuid4()}%00", f"{uuid4()}%0a", f"%20{uuid4()}"],
            *[
                "%7B" + str(uuid4()) + "%7D",
                "urn:uuid:" + str(uuid4()),
                "00000000-0000-0000-0000-000000000000",
            ],
        ):
            for more in ("", "/history", "/refunds"):
                path = f"/payments/{segment}{more}"
                assert self.without_id(merchant.get(path)) == unknown, path[:60]
            refused(merchant.get(f"/refunds/{segment}"), 404, "refund_not_found")

    def test_that_nobody_knows_is_404(self, merchant: SigningClient) -> None:
        for path in (
            *[
                "/payments/",
                "/payments//",
                "//payments",
                "/payments/x/y",
                "/payments/%2F",
                "/Payments",
            ],
            *[
                "/payments/../merchants/me",
                "/payments;x",
                "/payments/x/events/",
                "/%00",
                "/" + "x" * 8000,
            ],
        ):
            refused(merchant.get(path), 404, "not_found")

    def without_id(self, answer: Any) -> dict[str, Any]:
        refused(answer, 404, "payment_not_found")
        return {k: v for k, v in answer.json().items() if k != "correlationId"}


class TestMethod:
    def test_that_an_address_does_not_know_writes_nothing(self, merchant: SigningClient) -> None:
        payment = merchant.post("/payments", payment_body()).json()["paymentId"]
        body, before = json.dumps(payment_body()).encode(), Written.now()
        operations = [f"/payments/{payment}/{verb}" for verb in ("capture", "void", "refund")]
        reads = [f"/payments/{payment}{more}" for more in ("", "/events", "/history", "/refunds")]
        writes = [*BOTH, "/payments/cancel-by-key", *operations]
        for path in (*writes, *reads):
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"):
                answer = merchant.send(method, path, b"" if method == "OPTIONS" else body)
                refused(answer, 405, "method_not_allowed")
        for path in reads:
            refused(merchant.send("POST", path, body), 405, "method_not_allowed")
        for path in writes[1:]:
            answer = merchant.get(path)
            assert problem_in(answer)["code"] in ("method_not_allowed", "payment_not_found")
        for header in (
            "HTTP_X_HTTP_METHOD_OVERRIDE",
            "HTTP_X_METHOD_OVERRIDE",
            "HTTP_X_HTTP_METHOD",
        ):
            answer = merchant.send("GET", "/payments", b"", **{header: "POST"})
            assert answer.status_code == 200
        assert Written.now() == before

    def test_head_is_a_get_without_a_body(self, merchant: SigningClient) -> None:
        answer = merchant.send("HEAD", "/payments", b"")
        assert (answer.status_code, answer.content) == (200, b"")


class TestPrefer:
    def test_of_any_kind_breaks_nothing(self, merchant: SigningClient) -> None:
        for header in (
            "wait=-1",
            "wait=x",
            "w" * 8000,
            "wait=" + "9" * 4000,
            "\xff",
            ",;=",
            "wait=0",
        ):
            answer = merchant.post("/payments", payment_body(), HTTP_PREFER=header)
            assert answer.status_code == 202
