"""The signature check: says what is wrong, and never what would be right."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import pytest

from merchants.models import Merchant
from shared.testing.api import refused
from shared.testing.signing import SigningClient, v1_signature, v2_signature

pytestmark = pytest.mark.django_db

BODY = b'{"amount": "1.00"}'
TARGET = "/api/v1/sandbox/signature-check"


def check(
    merchant: SigningClient, body: bytes = BODY, /, *, query: str = "", **headers: str
) -> dict[str, Any]:
    signed = merchant.signed_headers(body) | headers
    answer = merchant.send_with("POST", "/sandbox/signature-check" + query, body, signed)
    assert answer.status_code == 200, answer.content
    assert merchant.api_key not in answer.content.decode()
    assert v1_signature(merchant.api_key, signed["HTTP_X_TIMESTAMP"], body) not in str(
        answer.content
    )
    return dict(answer.json())


def wrong(told: dict[str, Any]) -> list[str]:
    return [one["part"] for one in told["checks"] if not one["ok"]]


def advice(told: dict[str, Any]) -> str:
    return " ".join(one["message"] for one in told["checks"] if not one["ok"])


class TestExplainSignature:
    def test_finds_nothing_wrong_with_a_right_one(self, merchant: SigningClient) -> None:
        assert check(merchant)["valid"] is True
        now = str(int(time.time()))
        second = v2_signature(merchant.api_key, now, "POST", TARGET, "", BODY)
        assert check(merchant, HTTP_X_SIGNATURE=second, HTTP_X_TIMESTAMP=now)["valid"] is True

    def test_names_the_header_that_is_wrong(self, merchant: SigningClient) -> None:
        now = int(time.time())
        for header, values, part in (
            (
                "HTTP_X_MERCHANT_ID",
                ["", "x", merchant.merchant_id.upper(), str(uuid4())],
                "merchant",
            ),
            ("HTTP_X_TIMESTAMP", ["", "nan", "1.7e9", str(now - 301), str(now + 305)], "timestamp"),
            (
                "HTTP_X_SIGNATURE",
                ["", "x", "F" * 64, "é" * 64, "0" * 63, "a" * 43 + "="],
                "encoding",
            ),
        ):
            for value in values:
                assert part in wrong(check(merchant, BODY, **{header: value})), (header, value)

    def test_guesses_the_usual_mistakes(self, merchant: SigningClient) -> None:
        now = str(int(time.time())).encode()
        for message, hint in (
            (now + BODY, "dot"),
            (BODY, "timestamp"),
            (now + b"." + BODY + b"\n", "printf"),
            (now + b".", "empty body"),
            (base64.b64encode(now + b"." + BODY), "base64"),
            (b"something else", "Key or body differ"),
        ):
            signature = hmac.digest(merchant.api_key.encode(), message, "sha256").hex()
            told = check(merchant, HTTP_X_SIGNATURE=signature, HTTP_X_TIMESTAMP=now.decode())
            assert wrong(told) == ["signature"]
            assert hint in advice(told)

    def test_guesses_a_newline_that_was_sent_but_not_signed(self, merchant: SigningClient) -> None:
        now = str(int(time.time()))
        signature = v1_signature(merchant.api_key, now, BODY)
        told = check(merchant, BODY + b"\n", HTTP_X_SIGNATURE=signature, HTTP_X_TIMESTAMP=now)
        assert "newline" in advice(told)

    def test_says_when_version_1_is_pinned_out(self, merchant: SigningClient) -> None:
        Merchant.objects.update(minimum_signature_version=2)
        told = check(merchant)
        assert (told["valid"], wrong(told)) == (False, ["version"])

    def test_checks_version_2_for_the_request_that_was_meant(self, merchant: SigningClient) -> None:
        path = f"/merchants/keys/{uuid4()}"
        signed = merchant.signed_headers_v2("DELETE", path, b"", key="k")
        del signed["RAW_URI"]
        header = {"HTTP_IDEMPOTENCY_KEY": "k"}
        meant = f"?method=DELETE&target=/api/v1{path}"
        assert check(merchant, b"", query=meant, **signed | header)["valid"] is True
        for other in ("", f"?target=/api/v1{path}", "?method=DELETE", meant.replace("keys", "key")):
            told = check(merchant, b"", query=other, **signed | header)
            assert wrong(told) == ["signature"]
            assert "?method=…&target=…" in advice(told)

    def test_says_where_version_1_does_not_suffice(self, merchant: SigningClient) -> None:
        for meant, is_open in (
            ("", True),
            ("?target=/api/v1/payments", True),
            ("?target=/api/v1/tokens", True),
            ("?target=/nowhere", True),
            ("?target=//[", True),
            ("?method=GET&target=/api/v1/merchants/keys", True),
            ("?target=/api/v1/merchants/register", True),
            ("?target=/api/v1/merchants/keys/rotate", False),
            (f"?target=/api/v1/payments/{uuid4()}/void%3Fa=b", False),
            ("?method=DELETE&target=/api/v1/tokens/tok_x", False),
        ):
            told = check(merchant, query=meant)
            assert (told["valid"], wrong(told)) == (is_open, [] if is_open else ["version"]), meant
            assert is_open or "wants version 2" in advice(told)

    def test_guesses_the_usual_mistakes_in_version_2(self, merchant: SigningClient) -> None:
        now, target = str(int(time.time())), "/api/v1/payments?limit=5"
        digest = hashlib.sha256(BODY).hexdigest()
        for lines, hint in (
            (f"v2\n{now}\nPOST\n{target}\nk\n{digest}\n", "newline"),
            (f"v2\n{now}\nPOST\n{target}\nk\n{BODY.decode()}", "SHA-256"),
            (f"v2\n{now}\nPOST\n{target}\n\n{digest}", "Idempotency-Key"),
            (f"v2\n{now}\nPOST\n/api/v1/payments\nk\n{digest}", "query"),
        ):
            signature = hmac.digest(merchant.api_key.encode(), lines.encode(), "sha256").hex()
            told = check(
                merchant,
                query="?target=" + target.replace("?", "%3F"),
                HTTP_X_SIGNATURE="v2=" + signature,
                HTTP_X_TIMESTAMP=now,
                HTTP_IDEMPOTENCY_KEY="k",
            )
            assert wrong(told) == ["signature"]
            assert hint in advice(told)

    def test_reads_no_body(self, merchant: SigningClient) -> None:
        for body in (b"", b"\xff", b"{", b'{"a": NaN}', json.dumps("x" * 60_000).encode()):
            assert check(merchant, body)["valid"] is True

    def test_breaks_with_nothing(self, merchant: SigningClient) -> None:
        hostile = ["", "\0", "é", "\xff" * 44, "v2=", "v2=v2=", "a" * 5000, ",", "{}", "0" * 10]
        for header in ("HTTP_X_MERCHANT_ID", "HTTP_X_TIMESTAMP", "HTTP_X_SIGNATURE"):
            for value in hostile:
                assert check(merchant, BODY, **{header: value})["valid"] is False

    def test_exists_in_the_sandbox_only(self, merchant: SigningClient, settings: Any) -> None:
        settings.IS_PRODUCTION = True
        refused(merchant.send("POST", "/sandbox/signature-check", b"{}"), 404, "not_found")
