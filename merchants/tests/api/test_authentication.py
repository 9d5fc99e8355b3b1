"""Signed requests: what passes, and the one answer to everything that does not."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest
import time_machine

from merchants.models import Merchant
from merchants.tests.domain.test_request_signature import (
    HOSTILE_MERCHANTS,
    HOSTILE_SIGNATURES,
    HOSTILE_TIMESTAMPS,
)
from shared import clock
from shared.testing.api import Written, payment_body, problem_in, refused, send_v2
from shared.testing.signing import SigningClient, v1_signature, v2_signature

pytestmark = pytest.mark.django_db

CLOSED = (
    ("POST", "/merchants/keys/rotate"),
    ("DELETE", f"/merchants/keys/{uuid4()}"),
    ("POST", f"/payments/{uuid4()}/capture"),
    ("POST", f"/payments/{uuid4()}/void"),
    ("POST", f"/payments/{uuid4()}/refund"),
    ("POST", "/payments/cancel-by-key"),
    ("DELETE", "/tokens/tok_test"),
)
ID, TIME, SIGNATURE = "HTTP_X_MERCHANT_ID", "HTTP_X_TIMESTAMP", "HTTP_X_SIGNATURE"


def without_id(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in problem_in(answer).items() if name != "correlationId"}


def reachable(values: list[str]) -> list[str]:
    """What a WSGI server can hand over: text in Latin-1."""
    return [value for value in values if value.isascii() or max(value) <= "\xff"]


class TestRefusal:
    def test_is_the_same_whatever_is_wrong(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        body = json.dumps(payment_body()).encode()
        right, before = merchant.signed_headers(body), Written.now()
        now = int(right[TIME])

        def at(timestamp: object) -> dict[str, str]:
            signature = v1_signature(merchant.api_key, str(timestamp), body)
            return {TIME: str(timestamp), SIGNATURE: signature}

        wrong: list[dict[str, str]] = [
            *({ID: value} for value in reachable(HOSTILE_MERCHANTS)),
            *(at(value) for value in reachable(HOSTILE_TIMESTAMPS) if value.isascii()),
            *({TIME: value} for value in reachable(HOSTILE_TIMESTAMPS)),
            *({SIGNATURE: value} for value in reachable(HOSTILE_SIGNATURES)),
            *(at(now + shift) for shift in (-301, 900, -86_400, 86_400, 4_102_444_800 - now)),
            {ID: str(uuid4())},
            {ID: other.merchant_id},
            {SIGNATURE: "0" * 64},
            {SIGNATURE: v1_signature(other.api_key, str(now), body)},
            {SIGNATURE: v1_signature(merchant.api_key, str(now), b"")},
            {SIGNATURE: v1_signature("", str(now), body)},
            {SIGNATURE: "v2=" + right[SIGNATURE]},
            {SIGNATURE: right[SIGNATURE][:-1] + ("0" if right[SIGNATURE][-1] != "0" else "1")},
            {SIGNATURE: ("0" if right[SIGNATURE][0] != "0" else "1") + right[SIGNATURE][1:]},
        ]
        answers = [
            merchant.send_with("POST", "/payments", body, right | change) for change in wrong
        ]
        for missing in (ID, TIME, SIGNATURE):
            headers = {name: value for name, value in right.items() if name != missing}
            answers.append(merchant.send_with("POST", "/payments", body, headers))
        answers.append(merchant.send_with("POST", "/payments", body, {}))
        first = without_id(answers[0])
        assert (first["status"], first["code"]) == (401, "invalid_signature")
        for answer, change in zip(answers, [*wrong, *["missing"] * 4], strict=True):
            assert without_id(answer) == first, change
            assert answer.headers["WWW-Authenticate"] == "Signature"
        assert Written.now() == before
        assert merchant.send_with("POST", "/payments", body, right).status_code == 202

    def test_comes_before_anything_is_read(self, merchant: SigningClient) -> None:
        merchant.api_key += "x"
        for body in (b"", b"{", b"\xff", b"[]", b'{"a": NaN}', b'{"idempotencyKey": 1}'):
            for path in ("/payments", "/merchants/keys/rotate", "/merchants/me"):
                refused(merchant.send("POST", path, body), 401, "invalid_signature")

    def test_comes_before_saying_what_exists(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        payment = merchant.post("/payments", payment_body()).json()["paymentId"]
        merchant.api_key += "x"
        for path in (
            f"/payments/{payment}",
            f"/payments/{uuid4()}",
            "/payments/x",
            "/payments/%00",
        ):
            refused(merchant.get(path), 401, "invalid_signature")


class TestWindow:
    def test_is_open_for_300_seconds_in_both_directions(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now().replace(microsecond=0), tick=False):
            for shift, status in ((-301, 401), (-300, 200), (300, 200), (301, 401)):
                headers = merchant.signed_headers(b"", at=time.time() + shift)
                answer = merchant.send_with("GET", "/merchants/me", b"", headers)
                assert answer.status_code == status, shift


class TestVersion1:
    def test_covers_the_bytes_as_sent(self, merchant: SigningClient) -> None:
        body = json.dumps(payment_body(description="Aü"), indent=1).encode() + b" \r\n"
        signed = merchant.signed_headers(body)
        for changed in (
            body.strip(),
            body + b" ",
            body.replace(b"\\u00fc", "ü".encode()),
            json.dumps(json.loads(body)).encode(),
            body.replace(b"250.00", b"250.01"),
        ):
            answer = merchant.send_with("POST", "/payments", changed, signed)
            refused(answer, 401, "invalid_signature")
        assert merchant.send_with("POST", "/payments", body, signed).status_code == 202

    def test_of_a_get_authorises_no_change(self, merchant: SigningClient) -> None:
        """All empty bodies of a second share one signature."""
        captured, before = merchant.signed_headers(b""), Written.now()
        for method, path, code in (
            ("POST", "/payments", "validation_failed"),
            ("POST", "/payments/authorize", "validation_failed"),
            ("POST", "/tokens", "validation_failed"),
            ("POST", "/merchants/keys/rotate", "signature_version_required"),
            ("DELETE", f"/merchants/keys/{uuid4()}", "signature_version_required"),
        ):
            for more in ({}, {"HTTP_IDEMPOTENCY_KEY": "attack"}):
                answer = merchant.send_with(method, path, b"", captured | more)
                refused(answer, 400, code)
        assert Written.now() == before

    def test_opens_payments_and_tokens_and_no_other_change(self, merchant: SigningClient) -> None:
        wallet = {"type": "WALLET", "wallet": {"provider": "paywave", "walletId": "7"}}
        for path, document in (
            ("/payments", payment_body()),
            ("/payments/authorize", payment_body()),
            ("/tokens", wallet | {"idempotencyKey": "token"}),
        ):
            body = json.dumps(document).encode()
            signed = merchant.signed_headers(body)
            answer = merchant.send_with("POST", path, body, signed, HTTP_PREFER="wait=0")
            assert answer.status_code in (201, 202), answer.content
        before = Written.now()
        for method, path in CLOSED:
            body = json.dumps({"idempotencyKey": "key"}).encode()
            signed = merchant.signed_headers(body)
            answer = merchant.send_with(method, path, body, signed)
            refused(answer, 400, "signature_version_required")
            wrong = signed | {SIGNATURE: "0" * 64}
            refused(merchant.send_with(method, path, body, wrong), 401, "invalid_signature")
        assert Written.now() == before

    def test_is_told_of_a_method_that_is_not_there(self, merchant: SigningClient) -> None:
        signed = merchant.signed_headers(b"{}")
        answer = merchant.send_with("POST", "/merchants/me", b"{}", signed)
        refused(answer, 405, "method_not_allowed")

    def test_replayed_with_a_new_key_in_the_header_pays_nothing(
        self, merchant: SigningClient
    ) -> None:
        body = json.dumps(payment_body()).encode()
        captured = merchant.signed_headers(body)
        first = merchant.send_with("POST", "/payments", body, captured)
        before = Written.now()
        again = merchant.send_with("POST", "/payments", body, captured)
        assert (again.status_code, again.json()) == (202, first.json())
        attack = captured | {"HTTP_IDEMPOTENCY_KEY": "another"}
        refused(
            merchant.send_with("POST", "/payments", body, attack), 400, "idempotency_key_mismatch"
        )
        assert Written.now() == before

    def test_is_refused_once_version_2_is_pinned(self, merchant: SigningClient) -> None:
        assert merchant.get("/merchants/me").status_code == 200
        Merchant.objects.update(minimum_signature_version=2)
        refused(merchant.get("/merchants/me"), 401, "invalid_signature")
        assert send_v2(merchant, "GET", "/merchants/me").status_code == 200

    def test_ignores_headers_that_look_alike(self, merchant: SigningClient) -> None:
        signed = merchant.signed_headers(b"")
        for name, value in list(signed.items()):
            renamed = {k: v for k, v in signed.items() if k != name}
            renamed[name.replace("HTTP_X_", "HTTP_X__")] = value
            renamed[name.removeprefix("HTTP_")] = value
            answer = merchant.send_with("GET", "/merchants/me", b"", renamed)
            refused(answer, 401, "invalid_signature")


class TestVersion2:
    def test_covers_method_target_and_key(self, merchant: SigningClient) -> None:
        now = str(int(time.time()))

        def send(signed: tuple[str, str, str], sent: tuple[str, str, str]) -> int:
            method, path, key = signed
            headers = {
                ID: merchant.merchant_id,
                TIME: now,
                SIGNATURE: v2_signature(merchant.api_key, now, method, "/api/v1" + path, key, b""),
            }
            method, path, key = sent
            headers |= {"HTTP_IDEMPOTENCY_KEY": key} if key else {}
            return int(merchant.send_with(method, path, b"", headers).status_code)

        right = ("GET", "/payments?limit=5", "")
        assert send(right, right) == 200
        for wrong in (
            ("HEAD", "/payments?limit=5", ""),
            ("GET", "/payments?limit=6", ""),
            ("GET", "/payments", ""),
            ("GET", "/payments?limit=5&", ""),
            ("GET", "/payments?limit=%35", ""),
            ("GET", "/merchants/me", ""),
            ("GET", "/payments?limit=5", "key"),
        ):
            assert send(right, wrong) == 401, wrong
            assert send(wrong, right) == 401, wrong
        with_key = ("DELETE", f"/merchants/keys/{uuid4()}", "key")
        assert send(with_key, with_key) == 404  # there is no such key, but this one may ask
        rotate = ("POST", "/merchants/keys/rotate", "key")
        assert send(rotate, rotate) == 201
        assert send(rotate, ("POST", "/merchants/keys/rotate", "other")) == 401

    def test_covers_the_target_as_the_server_received_it(self, merchant: SigningClient) -> None:
        now, target = str(int(time.time())), "/api/v1/payments?limit=%35"
        headers = {ID: merchant.merchant_id, TIME: now}
        for signed, status in ((target, 200), ("/api/v1/payments?limit=5", 401)):
            headers[SIGNATURE] = v2_signature(merchant.api_key, now, "GET", signed, "", b"")
            answer = merchant.send_with(
                "GET", "/payments?limit=%35", b"", headers | {"RAW_URI": target}
            )
            assert answer.status_code == status, signed

    def test_takes_its_target_from_no_header(self, merchant: SigningClient) -> None:
        now = str(int(time.time()))
        signature = v2_signature(merchant.api_key, now, "GET", "/api/v1/merchants/me", "", b"")
        headers = {ID: merchant.merchant_id, TIME: now, SIGNATURE: signature}
        for name in ("HTTP_RAW_URI", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL", "HTTP_X_RAW_URI"):
            answer = merchant.send_with(
                "GET", "/payments", b"", headers | {name: "/api/v1/merchants/me"}
            )
            refused(answer, 401, "invalid_signature")
