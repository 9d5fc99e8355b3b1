"""Whatever is signed and sent, no answer is a 5xx."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.domain.lifecycle import PaymentStatus
from payments.tests.api.conftest import payment_of
from shared.testing.api import payment_body, problem_in, send_v2
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

bounded = settings(
    max_examples=150,
    deadline=None,
    # One merchant serves all examples: what they write does not matter here.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

hostile_texts = st.sampled_from(
    [
        "",
        "\0",
        "\ud800",
        "\r\n",
        "1e400",
        "NaN",
        "4111111111111111",
        "٣",
        "x" * 600,
        "'--",
        "%s",
        "{}",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**20, 10**30)
    | st.floats()
    | st.text(max_size=20)
    | hostile_texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    [
        "payeeAccountId",
        "idempotencyKey",
        "amount",
        "currency",
        "paymentMethod",
        "description",
        "metadata",
    ]
)
changes = st.dictionaries(names | st.text(max_size=8), values, min_size=1, max_size=3)
header_texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
paths = st.sampled_from(
    [
        "/payments",
        "/payments/authorize",
        "/payments/cancel-by-key",
        "/payments/x/capture",
        "/refunds/x",
        "/tokens",
        "/merchants/keys/rotate",
        "/merchants/keys/x",
        "/merchants/register",
        "/sandbox/signature-check",
    ]
)


def assert_answered(answer: Any) -> None:
    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        problem_in(answer)


class TestSignedRequest:
    @bounded
    @given(changes)
    def test_with_any_fields_is_answered(
        self, merchant: SigningClient, changed: dict[str, Any]
    ) -> None:
        body = json.dumps(payment_body() | changed).encode()
        assert_answered(merchant.send("POST", "/payments", body))

    @bounded
    @given(paths, st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
    def test_with_any_body_is_answered(
        self, merchant: SigningClient, path: str, body: bytes
    ) -> None:
        method = "DELETE" if path.endswith("/x") else "POST"
        assert_answered(merchant.send(method, path, body))

    @bounded
    @given(
        st.sampled_from(
            ["/payments", "/audit/events", "/payments/", "/ledger/journal/", "/refunds/", "/"]
        ),
        st.text(max_size=30),
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["limit", "cursor", "createdFrom", "createdTo", "status", "eventType"]
                )
                | st.text(max_size=5),
                st.text(max_size=30)
                | hostile_texts
                | st.datetimes(timezones=st.timezones()).map(str),
            ),
            max_size=3,
        ),
    )
    def test_with_any_address_is_answered(
        self, merchant: SigningClient, path: str, more: str, query: list[tuple[str, str]]
    ) -> None:
        text = "&".join(f"{quote_any(name)}={quote_any(value)}" for name, value in query)
        end = quote_any(more) if path.endswith("/") else ""
        assert_answered(merchant.get(f"{path}{end}?{text}"))

    @bounded
    @given(header_texts, header_texts, header_texts)
    def test_with_any_headers_is_answered(
        self, merchant: SigningClient, prefer: str, key: str, accept: str
    ) -> None:
        body = json.dumps(payment_body()).encode()
        headers = {"HTTP_ACCEPT": accept, "HTTP_X_CORRELATION_ID": accept, "HTTP_COOKIE": key}
        headers |= {"HTTP_PREFER": "x" + prefer, "HTTP_IDEMPOTENCY_KEY": key}
        assert_answered(merchant.send("POST", "/payments", body, **headers))

    @bounded
    @given(st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=140))
    def test_with_any_signed_key_is_answered(self, merchant: SigningClient, key: str) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        answer = send_v2(merchant, "POST", "/payments", json.dumps(body).encode(), key=key)
        assert_answered(answer)
        assert (answer.status_code == 202) == (1 <= len(key) <= 128)


class TestOperation:
    @bounded
    @given(
        st.sampled_from(["capture", "void", "refund"]),
        st.dictionaries(
            st.sampled_from(
                ["amount", "finalCapture", "metadata", "reason", "dryRun", "idempotencyKey"]
            )
            | st.text(max_size=8),
            values | st.decimals(0, 300, places=2).map(str),
            max_size=3,
        ),
    )
    def test_with_any_fields_is_answered(
        self, merchant: SigningClient, verb: str, changed: dict[str, Any]
    ) -> None:
        status = PaymentStatus.CAPTURED if verb == "refund" else PaymentStatus.AUTHORISED
        payment = payment_of(merchant, status)
        body = json.dumps({"idempotencyKey": str(uuid4())} | changed).encode()
        address = f"/payments/{payment.pk}/{verb}"
        assert_answered(merchant.send("POST", address, body, HTTP_PREFER="wait=0"))

    @bounded
    @given(values, values)
    def test_of_cancelling_any_key_is_answered(
        self, merchant: SigningClient, key: Any, cancelled: Any
    ) -> None:
        body = json.dumps({"idempotencyKey": key, "cancelKey": cancelled}).encode()
        assert_answered(
            merchant.send("POST", "/payments/cancel-by-key", body, HTTP_PREFER="wait=0")
        )


class TestCallback:
    @bounded
    @given(
        st.sampled_from(["sandbox", "sandbox-bank", "sandbox-wallet", "stripe", "nobody"]),
        st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()),
        st.sampled_from(["HTTP_X_SANDBOX_SIGNATURE", "HTTP_STRIPE_SIGNATURE"]),
        header_texts | st.just("t=1,v1=" + "0" * 64) | st.just("t=" + "9" * 300 + ",v1=x"),
    )
    def test_that_nobody_signed_is_refused(
        self, db: None, processor: str, body: bytes, name: str, header: str
    ) -> None:
        client: Any = Client(raise_request_exception=False)
        address = f"/api/v1/processor-callbacks/{processor}"
        answer = client.generic("POST", address, body, "application/json", **{name: header})
        assert problem_in(answer)["code"] in ("callback_refused", "processor_not_found")


def quote_any(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
