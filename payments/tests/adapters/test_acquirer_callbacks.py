"""Callbacks of the acquirer: who signed them, when, and about what."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from hmac import new as hmac

import pytest
from pytest_django import Settings

from payments.domain.processor import CallbackNotAuthentic
from payments.tests.adapters.rails import CARD
from shared.identifiers import new_id

SECRET = "a secret that both sides know"


@pytest.fixture
def configured(settings: Settings) -> None:
    settings.SANDBOX_SECRET = SECRET


class TestCallbacks:
    body = json.dumps(
        {"key": "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11", "status": "APPROVED"}
    ).encode()

    @pytest.mark.usefixtures("configured")
    def test_name_the_operation(self) -> None:
        operation_id = new_id()
        body = json.dumps({"key": str(operation_id), "status": "DECLINED"}).encode()
        headers = {"x-acquirer-signature": signed(body)}
        assert CARD.processor.read_callback(headers, body) == operation_id

    @pytest.mark.usefixtures("configured")
    @pytest.mark.parametrize(
        "body", [b"", b"{}", b"[]", b"7", b'{"key":7}', b'{"key":"order-1"}', b"[" * 100_000]
    )
    def test_that_name_none_of_ours(self, body: bytes) -> None:
        headers = {"x-acquirer-signature": signed(body)}
        assert CARD.processor.read_callback(headers, body) is None

    @pytest.mark.usefixtures("configured")
    @pytest.mark.parametrize("age_seconds", [-290, 0, 290])
    def test_of_the_last_minutes(self, age_seconds: int) -> None:
        headers = {"x-acquirer-signature": signed(self.body, age_seconds=age_seconds)}
        assert CARD.processor.read_callback(headers, self.body) is not None

    @pytest.mark.usefixtures("configured")
    @pytest.mark.parametrize("age_seconds", [-310, 310, 10**9])
    def test_of_another_time_are_refused(self, age_seconds: int) -> None:
        self._refuses(signed(self.body, age_seconds=age_seconds))

    @pytest.mark.usefixtures("configured")
    def test_with_another_body_secret_or_time_are_refused(self) -> None:
        genuine = signed(self.body)
        time, _, digest = genuine.partition(",")
        later = f"t={int(time[2:]) + 1},{digest}"
        for header in (signed(b"{}"), signed(self.body, secret="guessed"), later):
            self._refuses(header)

    @pytest.mark.usefixtures("configured")
    @pytest.mark.parametrize(
        "header", ["", "t=,v1=", "t=1", "v1=00", "t=nan,v1=00", "t=١,v1=" + "0" * 64, "é" * 80]
    )
    def test_without_a_signature_are_refused(self, header: str) -> None:
        self._refuses(header)

    def test_are_refused_while_there_is_no_secret(self, settings: Settings) -> None:
        settings.SANDBOX_SECRET = ""
        self._refuses(signed(self.body, secret=""))

    def _refuses(self, header: str) -> None:
        with pytest.raises(CallbackNotAuthentic):
            CARD.processor.read_callback({"x-acquirer-signature": header}, self.body)


def signed(body: bytes, *, secret: str = SECRET, age_seconds: int = 0) -> str:
    """The header that the acquirer's documentation describes."""
    at = int(datetime.now(UTC).timestamp()) - age_seconds
    digest = hmac(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return f"t={at},v1={digest}"
