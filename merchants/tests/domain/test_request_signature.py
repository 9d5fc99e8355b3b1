"""Signatures: the grammar of the headers and the bytes that are signed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merchants.domain.request_signature import (
    WINDOW_SECONDS,
    SignedRequest,
    claims_of,
    is_fresh,
    is_signed_with,
    message,
)
from shared.testing.signing import v1_signature, v2_signature

MERCHANT = "01890a5d-ac96-774b-bcce-b302099a8057"
NOW = "1700000000"
KEY = "pk_test_secret"
DIGEST = "0123456789abcdef" * 4

HOSTILE_MERCHANTS = [
    *[
        "",
        MERCHANT.upper(),
        MERCHANT.replace("-", ""),
        "{" + MERCHANT + "}",
        "urn:uuid:" + MERCHANT,
    ],
    *[f" {MERCHANT}", f"{MERCHANT} ", f"{MERCHANT}\n", f"{MERCHANT},{MERCHANT}", MERCHANT + "\0"],
    *[MERCHANT.replace("-", "", 1) + "-", MERCHANT.replace("0", "０"), "nil", "0", "1" * 5000],
    *["%s", "' OR 1=1 --", "é", "\ud800"],
]
HOSTILE_TIMESTAMPS = [
    *["", "1.7e9", "1700000000.5", " 1700000000", "1700000000 ", "+1700000000", "-1700000000"],
    *["1_700_000_000", "1_70000000", "170000000", "17000000000", "01700000000", "1700000000\n"],
    *["١٧٠٠٠٠٠٠٠٠", "１７００００００００", "nan", "inf", "-inf", "NaN", "-1", "0", str(10**20)],
    *[
        f"{NOW},{NOW}",
        "0x65920080",
        "1700000000\0",
        "1" * 5000,
        "17000000OO",
        "1700000000.",
        "²" * 10,
    ],
]
HOSTILE_SIGNATURES = [
    *["", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", " " + DIGEST, DIGEST + " ", DIGEST + "\n"],
    *[f"{DIGEST},{DIGEST}", "v1=" + DIGEST, "V2=" + DIGEST, "v2 =" + DIGEST, "v2=v2=" + DIGEST],
    *[
        "v2=",
        "sha256=" + DIGEST,
        "0x" + DIGEST,
        "é" * 64,
        "g" * 64,
        "０" * 64,
        DIGEST[:-1] + "\xff",
    ],
    *["MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "null", "\0" * 64, "f" * 128, "\ud800" * 64],
]


def request(**changes: Any) -> SignedRequest:
    usual = SignedRequest(
        merchant_id=MERCHANT,
        timestamp=NOW,
        signature=DIGEST,
        method="POST",
        target="/api/v1/payments?a=1",
        idempotency_key="",
        body=b'{"amount": "1.00"}',
    )
    return replace(usual, **changes)


class TestClaims:
    def test_are_read_from_three_headers(self) -> None:
        claims = claims_of(request())
        assert claims is not None
        assert (str(claims.merchant_id), claims.timestamp) == (MERCHANT, 1_700_000_000)
        assert (claims.version, claims.digest.hex()) == (1, DIGEST)
        stronger = claims_of(request(signature="v2=" + DIGEST))
        assert stronger is not None
        assert (stronger.version, stronger.digest.hex()) == (2, DIGEST)

    @pytest.mark.parametrize("merchant_id", HOSTILE_MERCHANTS, ids=ascii)
    def test_name_a_merchant_in_one_spelling_only(self, merchant_id: str) -> None:
        assert claims_of(request(merchant_id=merchant_id)) is None

    @pytest.mark.parametrize("timestamp", HOSTILE_TIMESTAMPS, ids=ascii)
    def test_have_a_timestamp_of_ten_ascii_digits(self, timestamp: str) -> None:
        assert claims_of(request(timestamp=timestamp)) is None

    @pytest.mark.parametrize("signature", HOSTILE_SIGNATURES, ids=ascii)
    def test_have_a_signature_of_64_lower_case_hex_digits(self, signature: str) -> None:
        assert claims_of(request(signature=signature)) is None

    def test_would_be_read_from_more_by_python(self) -> None:
        """The naive twin: `int()`, and `float()`, whose NaN is never stale."""
        by_int = [text for text in HOSTILE_TIMESTAMPS if reads(int, text)]
        by_float = [text for text in HOSTILE_TIMESTAMPS if reads(float, text)]
        assert {" 1700000000", "+1700000000", "1_700_000_000", "١٧٠٠٠٠٠٠٠٠"} <= set(by_int)
        assert {"nan", "1.7e9", "1700000000.5"} <= set(by_float)
        assert (abs(1_700_000_000 - float("nan")) > WINDOW_SECONDS) is False

    @given(st.text(), st.text(), st.text())
    def test_are_read_or_not_but_never_break(self, merchant: str, time: str, signed: str) -> None:
        assert claims_of(request(merchant_id=merchant, timestamp=time, signature=signed)) is None


def reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


class TestWindow:
    @pytest.mark.parametrize(
        ("age", "fresh"), [(0, True), (300, True), (301, False), (10**9, False)]
    )
    def test_is_300_seconds_in_both_directions(self, age: int, fresh: bool) -> None:
        assert is_fresh(1_700_000_000, 1_700_000_000 + age) is fresh
        assert is_fresh(1_700_000_000, 1_700_000_000 - age) is fresh

    def test_counts_fractions(self) -> None:
        assert not is_fresh(1_700_000_000, 1_700_000_300.001)


class TestMessage:
    def test_of_version_1_is_timestamp_dot_body(self) -> None:
        assert message(request(), 1) == b'1700000000.{"amount": "1.00"}'
        assert message(request(body=b""), 1) == b"1700000000."
        assert message(request(body=b"\xff\0\n"), 1) == b"1700000000.\xff\0\n"

    def test_of_version_2_covers_method_target_key_and_body(self) -> None:
        lines = message(request(idempotency_key="k"), 2).split(b"\n")
        assert lines[:5] == [b"v2", NOW.encode(), b"POST", b"/api/v1/payments?a=1", b"k"]
        assert len(lines[5]) == 64

    @pytest.mark.parametrize(
        "change",
        [
            {"timestamp": "1700000001"},
            {"method": "PUT"},
            {"target": "/api/v1/payments?a=2"},
            {"idempotency_key": "other"},
            {"body": b""},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_of_version_2_changes_with_each_of_them(self, change: dict[str, Any]) -> None:
        assert message(request(**change), 2) != message(request(), 2)

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_of_one_version_never_is_that_of_the_other(self, one: bytes, other: bytes) -> None:
        assert message(request(body=one), 1) != message(request(body=other), 2)

    @given(st.binary(max_size=40), st.integers(0, 9), st.integers(1, 5))
    def test_never_shares_a_signature_with_a_shifted_boundary(
        self, body: bytes, digit: int, length: int
    ) -> None:
        """`T.5.{}` is body `5.{}` at T, or body `{}` at `T.5`, unless T is ten digits."""
        shifted = request(timestamp=f"{NOW}.{str(digit) * length}", body=body)
        assert message(shifted, 1) == message(
            request(body=f"{str(digit) * length}.".encode() + body), 1
        )
        assert claims_of(shifted) is None

    def test_can_be_made_of_any_text(self) -> None:
        strange = request(
            timestamp="ключ\ud800", target="/ключ", idempotency_key="\ud800", method="é"
        )
        assert message(strange, 1)
        assert message(strange, 2)


class TestIsSignedWith:
    def test_takes_the_keys_own_signature(self) -> None:
        body = request().body
        first = bytes.fromhex(v1_signature(KEY, NOW, body))
        second = bytes.fromhex(
            v2_signature(KEY, NOW, "POST", "/api/v1/payments?a=1", "", body).removeprefix("v2=")
        )
        assert is_signed_with(KEY, first, message(request(), 1))
        assert is_signed_with(KEY, second, message(request(), 2))
        assert not is_signed_with(KEY, first, message(request(), 2))
        assert not is_signed_with("another", first, message(request(), 1))

    @given(st.integers(0, 255))
    def test_notices_any_bit(self, bit: int) -> None:
        signed = bytearray.fromhex(v1_signature(KEY, NOW, b"{}"))
        signed[bit // 8] ^= 1 << bit % 8
        assert not is_signed_with(KEY, bytes(signed), message(request(body=b"{}"), 1))

    @pytest.mark.skipif(
        shutil.which("openssl") is None and not os.environ.get("PAYFLOW_REQUIRE_SERVICES"),
        reason="needs the openssl command",
    )
    def test_agrees_with_the_documented_one_liner(self) -> None:
        command = (
            """printf '%s.%s' "$TS" "$BODY" | openssl dgst -sha256 -hmac "$API_KEY" -hex"""
            """ | sed 's/^.* //'"""
        )
        body = '{"amount": "1.00", "description": "ünï \\"quoted\\""}'
        done = subprocess.run(
            ["sh", "-c", command],
            env={"TS": NOW, "BODY": body, "API_KEY": KEY, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout.strip() == v1_signature(KEY, NOW, body.encode())
