"""What most tests of the API begin with: a registered merchant, a payment's body, a problem."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client

from shared.testing.signing import JSON, SigningClient


def registered_merchant(name: str = "Acme Corp", email: str | None = None) -> SigningClient:
    """A merchant registered through the API, with an e-mail address of its own."""
    body = {"name": name, "email": email or f"{uuid4().hex}@example.com"}
    answer = Client().post("/api/v1/merchants/register", body, content_type=JSON)
    assert answer.status_code == 201, answer.content
    return SigningClient(answer.json()["merchantId"], answer.json()["apiKey"])


def payment_body(**changes: Any) -> dict[str, Any]:
    """The body of a payment of 250.00 USD under a key of its own."""
    return {
        "payeeAccountId": str(uuid4()),
        "idempotencyKey": f"key-{uuid4()}",
        "amount": "250.00",
        "currency": "USD",
        "paymentMethod": {"type": "CARD", "token": "tok_test"},
    } | changes


def send_v2(
    merchant: SigningClient, method: str, path: str, body: bytes = b"", *, key: str | None = None
) -> Any:
    """A request under a version 2 signature; `key` becomes its `Idempotency-Key`."""
    signed = merchant.signed_headers_v2(method, path, body, key=key or "")
    header = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return merchant.send_with(method, path, body, signed | header)


def problem_in(answer: Any) -> dict[str, Any]:
    """The problem document that an error answers with, after checking that it is one."""
    told = f"{answer.status_code} {answer.content[:500]!r}"
    assert 400 <= answer.status_code < 500, told
    assert answer.headers["Content-Type"] == "application/problem+json", told
    problem: dict[str, Any] = json.loads(answer.content)
    members = {"type", "title", "status", "detail", "code", "correlationId"}
    assert problem.keys() - {"errors"} == members, told
    assert problem["status"] == answer.status_code, told
    assert problem["type"] == f"urn:payflow:problem:{problem['code']}", told
    assert problem["correlationId"] == answer.headers["X-Correlation-ID"], told
    return problem


def refused(answer: Any, status: int, code: str) -> None:
    """Assert that an answer is a problem of this status and code."""
    problem = problem_in(answer)
    assert (answer.status_code, problem["code"]) == (status, code), problem


@dataclass(frozen=True)
class Written:
    """How many rows there are of everything a request could write."""

    counts: dict[str, int]

    @classmethod
    def now(cls) -> "Written":
        """Count."""
        tables = (
            "merchants.merchant",
            "merchants.api_key",
            "payments.payment",
            "payments.operation",
            "shared.event",
            "shared.publication",
            "shared.idempotency_record",
        )
        with connection.cursor() as cursor:
            counts = {}
            for table in tables:
                cursor.execute(f"SELECT COUNT(*) FROM {table}")
                counts[table] = cursor.fetchone()[0]
        return cls(counts)
