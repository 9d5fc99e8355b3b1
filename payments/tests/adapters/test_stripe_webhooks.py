"""Stripe's webhooks: who signed them, when, and about what."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from hmac import new as hmac

import pytest
from pytest_django import Settings

from payments.domain.processor import CallbackNotAuthentic
from payments.tests.adapters.rails import STRIPE

SECRET = "whsec_that_stripe_gave_us"


@pytest.fixture
def configured(settings: Settings) -> Settings:
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    return settings


class TestWebhooks:
    body = json.dumps(
        {
            "type": "payment_intent.succeeded",
            "data": {"object": {"metadata": {"operation_id": str(STRIPE.wanted().operation_id)}}},
        }
    ).encode()

    @pytest.mark.usefixtures("configured")
    def test_name_the_operation(self) -> None:
        said = json.loads(self.body)["data"]["object"]["metadata"]["operation_id"]
        assert str(self._read(self.body, signed(self.body))) == said

    @pytest.mark.usefixtures("configured")
    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"data":{"object":{"metadata":{"operation_id":"x"}}}}']
    )
    def test_that_name_none_of_ours(self, body: bytes) -> None:
        assert self._read(body, signed(body)) is None

    @pytest.mark.usefixtures("configured")
    def test_not_signed_by_stripe_just_now_are_refused(self) -> None:
        others = [
            "",
            "t=1",
            "t=x,v1=y",
            f"t={10**30},v1=é",
            signed(b"{}"),
            signed(self.body, secret="whsec_guessed"),
            signed(self.body, age_seconds=310),
        ]
        for header in others:
            with pytest.raises(CallbackNotAuthentic):
                self._read(self.body, header)
        with pytest.raises(CallbackNotAuthentic):
            self._read(b"\xff", signed(b"\xff"))

    @pytest.mark.parametrize("secret", ["", " "])
    def test_are_refused_while_there_is_no_secret(self, configured: Settings, secret: str) -> None:
        configured.STRIPE_WEBHOOK_SECRET = secret
        with pytest.raises(CallbackNotAuthentic):
            self._read(self.body, signed(self.body, secret=secret))

    def _read(self, body: bytes, header: str) -> object:
        return STRIPE.processor.read_callback({"stripe-signature": header}, body)


def signed(body: bytes, *, secret: str = SECRET, age_seconds: int = 0) -> str:
    """Stripe's header, as its documentation describes it."""
    at = int(datetime.now(UTC).timestamp()) - age_seconds
    digest = hmac(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return f"t={at},v1={digest}"
