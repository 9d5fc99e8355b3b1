"""Verifying: every refusal is the same work and the same answer."""

import json
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from merchants.domain.request_signature import SignedRequest
from merchants.models import ApiKey
from merchants.use_cases.verify_request import InvalidSignature, verify_request
from shared import clock, crypto
from shared.testing.api import refused
from shared.testing.signing import SigningClient, v1_signature

pytestmark = pytest.mark.django_db


def signed(merchant: SigningClient, **changes: str) -> SignedRequest:
    timestamp = changes.pop("timestamp", str(int(time.time())))
    usual = {
        "merchant_id": merchant.merchant_id,
        "timestamp": timestamp,
        "signature": v1_signature(merchant.api_key, timestamp, b"{}"),
        "method": "POST",
        "target": "/",
        "idempotency_key": "",
    }
    return SignedRequest(**usual | changes, body=b"{}")


def refusals(merchant: SigningClient) -> dict[str, SignedRequest]:
    return {
        "unknown merchant": signed(merchant, merchant_id=str(uuid4())),
        "malformed merchant": signed(merchant, merchant_id="x"),
        "no merchant": signed(merchant, merchant_id=""),
        "wrong signature": signed(merchant, signature="0" * 64),
        "malformed signature": signed(merchant, signature="é"),
        "no signature": signed(merchant, signature=""),
        "stale": signed(merchant, timestamp="1700000000"),
        "malformed timestamp": signed(merchant, timestamp="nan"),
    }


class TestVerifyRequest:
    def test_names_who_signed_with_which_key(self, merchant: SigningClient) -> None:
        verified = verify_request(request=signed(merchant), now=clock.now())
        assert str(verified.merchant.pk) == merchant.merchant_id
        assert (verified.key, verified.version) == (ApiKey.objects.get(), 1)

    def test_does_the_same_work_for_every_refusal(
        self, merchant: SigningClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One look-up and one unsealing: what an attacker could time."""
        verify_request(request=signed(merchant), now=clock.now())
        work = {}
        for name, request in refusals(merchant).items():
            with monkeypatch.context() as patch, CaptureQueriesContext(connection) as queries:
                unsealed = watch_unsealing(patch)
                with pytest.raises(InvalidSignature):
                    verify_request(request=request, now=clock.now())
            work[name] = (len(queries), len(unsealed))
        assert set(work.values()) == {(1, 1)}, work

    def test_notes_no_use_of_a_refused_key(self, merchant: SigningClient) -> None:
        for request in refusals(merchant).values():
            with pytest.raises(InvalidSignature):
                verify_request(request=request, now=clock.now())
        assert ApiKey.objects.get().last_used_at is None
        verify_request(request=signed(merchant), now=clock.now())
        assert ApiKey.objects.get().last_used_at is not None

    def test_takes_no_key_that_expired_or_was_purged(self, merchant: SigningClient) -> None:
        request, key = signed(merchant), ApiKey.objects.get()
        for ended in ({"expires_at": clock.now()}, {"revoked_at": clock.now()}):
            ApiKey.objects.update(**ended)
            with pytest.raises(InvalidSignature):
                verify_request(request=request, now=clock.now() + timedelta(microseconds=1))
            key.save()
        verify_request(request=request, now=clock.now())


class TestTamperedKey:
    """F96: what somebody with write access to the table can achieve."""

    def test_of_another_merchant_verifies_nobody(
        self, merchant: SigningClient, other: SigningClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE merchants.api_key AS mine SET sealed_key = theirs.sealed_key"
                " FROM merchants.api_key AS theirs WHERE mine.id <> theirs.id"
            )
            assert cursor.rowcount == 2
        for who, key in (
            (merchant, merchant),
            (merchant, other),
            (other, merchant),
            (other, other),
        ):
            swapped = SigningClient(who.merchant_id, key.api_key)
            refused(swapped.get("/merchants/me"), 401, "invalid_signature")
        assert "does not open" in caplog.text

    @pytest.mark.parametrize(
        "sealed", [b"", b"x", b"|", b"unknown|" + b"x" * 60, b"sandbox|", b"\xff"]
    )
    def test_of_noise_is_401_and_explained(self, merchant: SigningClient, sealed: bytes) -> None:
        ApiKey.objects.update(sealed_key=sealed)
        refused(merchant.get("/merchants/me"), 401, "invalid_signature")
        explained = merchant.send("POST", "/sandbox/signature-check", b"{}")
        assert explained.status_code == 200
        assert explained.json()["valid"] is False

    def test_with_a_bit_flipped_is_401(self, merchant: SigningClient) -> None:
        key = ApiKey.objects.get()
        sealed = bytearray(key.sealed_key or b"")
        sealed[-1] ^= 1
        ApiKey.objects.update(sealed_key=bytes(sealed))
        refused(merchant.get("/merchants/me"), 401, "invalid_signature")

    def test_beside_a_sound_one_harms_nobody(self, merchant: SigningClient) -> None:
        broken = ApiKey.objects.get().pk
        rotated = merchant.post("/merchants/keys/rotate", {"idempotencyKey": "k"})
        ApiKey.objects.filter(pk=broken).update(sealed_key=b"x")
        renewed = SigningClient(merchant.merchant_id, json.loads(rotated.content)["apiKey"])
        assert renewed.get("/merchants/me").status_code == 200


def watch_unsealing(patch: pytest.MonkeyPatch) -> list[str]:
    """Note what is unsealed, and let it happen."""
    unsealed, unseal = [], crypto.unseal

    def watched(sealed: bytes, *, purpose: str, bound_to: str) -> bytes:
        unsealed.append(bound_to)
        return unseal(sealed, purpose=purpose, bound_to=bound_to)

    patch.setattr(crypto, "unseal", watched)
    return unsealed
