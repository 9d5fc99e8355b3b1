"""The client's signatures: the same as an implementation of its own makes, and as openssl does."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merchants.domain.request_signature import (
    SignedRequest,
    claims_of,
    is_signed_with,
    message,
)
from payflow.client import Signer
from shared.testing.signing import v1_signature, v2_signature

MERCHANT = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11"
KEY = "pk_test_Xy2HC0Bms-kc22OnF-EA30pp2C9zKvUgX4qqoV6d_rI"
AT = 1_800_000_000.9
SIGNER = Signer(MERCHANT, KEY)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


def verifies(headers: dict[str, str], method: str, target: str, key: str, body: bytes) -> bool:
    """Whether the platform itself takes these headers for this request."""
    request = SignedRequest(
        headers["X-Merchant-ID"],
        headers["X-Timestamp"],
        headers["X-Signature"],
        method,
        target,
        key,
        body,
    )
    claims = claims_of(request)
    return claims is not None and is_signed_with(
        KEY, claims.digest, message(request, claims.version)
    )


class TestVersion1:
    @given(st.binary(max_size=200))
    def test_is_what_the_second_opinion_says(self, body: bytes) -> None:
        headers = SIGNER.version_1(body, at=AT)
        assert headers["X-Timestamp"] == "1800000000"
        assert headers["X-Signature"] == v1_signature(KEY, "1800000000", body)
        assert verifies(headers, "POST", "/any", "", body)
        assert not verifies(headers, "POST", "/any", "", body + b" ")


class TestVersion2:
    @given(st.sampled_from(["GET", "POST", "DELETE"]), printable, printable, st.binary())
    def test_is_what_the_second_opinion_says(
        self, method: str, target: str, key: str, body: bytes
    ) -> None:
        headers = SIGNER.version_2(method, target, body, idempotency_key=key, at=AT)
        expected = v2_signature(KEY, "1800000000", method, target, key, body)
        assert headers["X-Signature"] == expected
        assert verifies(headers, method, target, key, body)
        assert not verifies(headers, "PUT", target, key, body)
        assert not verifies(headers, method, target + "?", key, body)
        assert not verifies(headers, method, target, key + "x", body)
        assert not verifies(headers, method, target, key, body + b" ")

    @pytest.mark.skipif(
        shutil.which("openssl") is None and not os.environ.get("PAYFLOW_REQUIRE_SERVICES"),
        reason="needs the openssl command",
    )
    def test_is_what_the_documented_line_of_openssl_says(self) -> None:
        body, target = '{"idempotencyKey":"k","description":"ü %s"}', "/api/v1/payments/1/void"
        script = r"""
            SHA=$(printf '%s' "$BODY" | openssl dgst -sha256 -hex | sed 's/^.* //')
            printf 'v2\n%s\n%s\n%s\n%s\n%s' "$TS" POST "$TARGET" "" "$SHA" \
              | openssl dgst -sha256 -hmac "$API_KEY" -hex | sed 's/^.* //'
        """
        done = subprocess.run(
            ["sh", "-c", script],
            env={
                "PATH": "/usr/bin:/bin:/usr/local/bin",
                "BODY": body,
                "TARGET": target,
                "TS": "1800000000",
                "API_KEY": KEY,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        headers = SIGNER.version_2("POST", target, body.encode(), at=AT)
        assert headers["X-Signature"] == "v2=" + done.stdout.strip()
