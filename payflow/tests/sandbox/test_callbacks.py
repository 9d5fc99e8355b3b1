"""Callbacks: signed, tried again, and for this machine only."""

import hmac
import json
import re
import time
from hashlib import sha256

import pytest

from payflow.sandbox.callbacks import is_loopback, is_web_address, signature
from payflow.tests.sandbox.conftest import SECRET, Sandbox, new_key, receiver, wait_until


class TestCallbacks:
    def test_are_signed_over_time_and_body(self, sandbox: Sandbox) -> None:
        key = new_key()
        with receiver() as called:
            sandbox.authorise("tok_pending", key=key, callbackUrl=called.url)
            wait_until(lambda: called.received)
        headers, body = called.received[0]
        assert json.loads(body) == {"key": key, "status": "APPROVED"}
        found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["x-acquirer-signature"])
        assert found is not None
        assert abs(int(found[1]) - time.time()) < 30
        expected = hmac.new(SECRET.encode(), f"{found[1]}.".encode() + body, sha256).hexdigest()
        assert found[2] == expected

    def test_are_tried_until_they_arrive(self, sandbox: Sandbox) -> None:
        with receiver() as called:
            called.statuses += [500, 302, 404]
            sandbox.authorise("tok_pending", callbackUrl=called.url)
            wait_until(lambda: len(called.received) == 4)
            time.sleep(0.3)
        assert len(called.received) == 4
        assert len({body for _, body in called.received}) == 1

    def test_are_sent_to_nobody_who_was_not_named(self, sandbox: Sandbox) -> None:
        with receiver() as called:
            sandbox.authorise(callbackUrl=called.url)
            sandbox.authorise("tok_declined", callbackUrl=called.url)
            sandbox.authorise("tok_pending")
            time.sleep(2.5)
        assert called.received == []


class TestSignature:
    def test_depends_on_everything(self) -> None:
        signatures = {
            signature(secret, body, at)
            for secret in (b"a", b"b")
            for body in (b"x", b"y")
            for at in (1, 2)
        }
        assert len(signatures) == 8


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:8000/x",
            "http://localhost/",
            "http://[::1]:9/a?b=c",
            "http://127.9.9.9",
        ],
    )
    def test_of_this_machine(self, url: str) -> None:
        assert is_loopback(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "https://127.0.0.1/",
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "http://0x7f000001/",
            "http://127.0.0.1@example.com/",
            "http://[::1",
            "http://127.0.0.1:99999/",
            "ftp://127.0.0.1/",
        ],
    )
    def test_of_others_or_of_nobody(self, url: str) -> None:
        assert not is_loopback(url)

    @pytest.mark.parametrize("url", ["javascript:x", "http://a b/", "http://a\r\nb/", "//a/", "é"])
    def test_that_no_payer_is_sent_to(self, url: str) -> None:
        assert not is_web_address(url)
