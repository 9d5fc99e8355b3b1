"""Merchants and keys in the admin."""

import base64

import pytest

from merchants.models import ApiKey, Merchant
from merchants.tests.keys import rotate, status
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def merchant() -> SigningClient:
    return registered_merchant()


def types_published() -> list[str]:
    return list(Event.objects.order_by("sequence").values_list("event_type", flat=True))


class TestRevoke:
    def test_ends_a_key_at_once_and_is_audited(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        old = ApiKey.objects.get()
        renewed = rotate(merchant, 3600)
        page = operator.act("revoke", old, reason="found in a public repository")
        assert "Revoke: 1 API key." in page
        assert merchant.get("/merchants/me").status_code == 401
        assert status(renewed) == 200
        assert types_published()[-2:] == ["Merchant.ApiKey.Revoked", "Operator.Action.Taken"]
        told = Event.objects.latest("sequence").payload
        assert (told["actor"], told["reason"]) == ("olga", "found in a public repository")
        assert operator.list(ApiKey, use="active").context["cl"].result_count == 1
        assert operator.list(ApiKey, use="ended").context["cl"].result_count == 1

    def test_takes_the_last_active_key_once(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        key = ApiKey.objects.get()
        assert "Revoke: 1 API key." in operator.act("revoke", key)
        assert status(merchant) == 401
        assert "Revoke: not for 1 API key. There is no such key." in operator.act("revoke", key)
        assert types_published().count("Operator.Action.Taken") == 1

    def test_asks_for_a_reason(self, operator: OperatorClient, merchant: SigningClient) -> None:
        rotate(merchant, 3600)
        assert "Say why" in operator.act("revoke", ApiKey.objects.earliest("created_at"), reason="")
        assert not ApiKey.objects.exclude(revoked_at=None).exists()


class TestPinSignatureVersion:
    def test_refuses_v1_from_then_on_and_is_audited(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        row = Merchant.objects.get()
        page = operator.act("pin_signature_version", row, reason="asked for by mail")
        assert "Require signature v2: 1 merchant." in page
        assert merchant.post("/payments", payment_body()).status_code == 401
        told = Event.objects.latest("sequence").payload
        assert told["action"] == "merchants.signature_version.pin"
        assert told["reason"] == "asked for by mail"

    def test_asks_for_a_reason(self, operator: OperatorClient, merchant: SigningClient) -> None:
        assert "Say why" in operator.act("pin_signature_version", Merchant.objects.get(), reason="")
        assert Merchant.objects.get().minimum_signature_version == 1


class TestRows:
    def test_never_show_a_key(self, operator: OperatorClient, merchant: SigningClient) -> None:
        key = ApiKey.objects.get()
        sealed = bytes(key.sealed_key or b"")
        shown = text(operator.list(ApiKey)) + text(operator.page(key))
        shown += text(operator.page(Merchant.objects.get())) + text(operator.choose("revoke", key))
        assert key.prefix in shown
        for secret in (
            merchant.api_key,
            sealed.hex(),
            base64.b64encode(sealed).decode()[:20],
            repr(sealed)[2:22],
        ):
            assert secret not in shown
        assert "sealed" not in shown.lower()

    def test_withstand_and_refuse(self, operator: OperatorClient, merchant: SigningClient) -> None:
        for row in (Merchant.objects.get(), ApiKey.objects.get()):
            withstands_hostile_terms(operator, type(row))
            refuses_changes(operator, row)
