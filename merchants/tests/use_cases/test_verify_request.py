"""Verifying: every refusal is the same work and the same answer."""

import hmac
import inspect
import re
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from merchants.domain.request_signature import SignedRequest
from merchants.models import ApiKey, Merchant
from merchants.queries import list_verifying_keys, verifying_keys_text
from merchants.tests.keys import ROTATE, rotate
from merchants.use_cases.verify_request import InvalidSignature, verify_request
from shared import clock, crypto
from shared.testing.api import refused, registered_merchant
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


@dataclass(frozen=True)
class Work:
    """What an attacker could time."""

    statements: int
    unsealings: int
    hmacs: int


def work_of(request: SignedRequest) -> Work:
    """What a refusal costs, counted."""
    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connection) as queries:
        unsealed, hashed = watch(patch, crypto, "unseal"), watch(patch, hmac, "digest")
        with pytest.raises(InvalidSignature):
            verify_request(request=request, now=clock.now())
    return Work(len(queries), len(unsealed), len(hashed))


def with_active_keys(merchant: SigningClient, count: int) -> SigningClient:
    """A merchant with so many active keys in all, one of which was never used."""
    for number in range(count - 1):
        rotate(merchant, 3600, f"rotate-{number}")
    return merchant


def with_ended_keys(merchant: SigningClient, count: int) -> SigningClient:
    """A merchant who has had so many keys before, none of them purged yet."""
    key = ApiKey.objects.get(merchant_id=merchant.merchant_id)
    ended_at = clock.now() - timedelta(seconds=1)
    revoked = [None if number % 2 else ended_at for number in range(count)]
    ApiKey.objects.bulk_create(
        ApiKey(
            merchant_id=key.merchant_id,
            prefix=key.prefix,
            sealed_key=key.sealed_key,
            created_at=ended_at - timedelta(days=1),
            expires_at=key.expires_at if at else ended_at,
            revoked_at=at,
        )
        for at in revoked
    )
    return merchant


class TestRefusal:
    """Its work tells nothing: neither what was wrong, nor about whom."""

    def test_is_the_same_work_whatever_is_wrong(self, merchant: SigningClient) -> None:
        work = {name: work_of(request) for name, request in refusals(merchant).items()}
        assert set(work.values()) == {Work(1, 6, 7)}, work

    def test_is_the_same_work_whoever_it_claims_to_be_from(self) -> None:
        whose = {
            "nobody's": SigningClient(str(uuid4()), "x"),
            "one key": registered_merchant(),
            "five keys": with_active_keys(registered_merchant(), 5),
            "many ended keys": with_ended_keys(registered_merchant(), 3000),
            "no key any more": registered_merchant(),
            "pinned to v2": registered_merchant(),
        }
        ApiKey.objects.filter(merchant_id=whose["no key any more"].merchant_id).update(
            revoked_at=clock.now()
        )
        pinned = Merchant.objects.filter(pk=whose["pinned to v2"].merchant_id)
        pinned.update(minimum_signature_version=2)
        wrong = {name: signed(one, signature="0" * 64) for name, one in whose.items()}
        wrong["pinned to v2, but right"] = signed(whose["pinned to v2"])
        work = {name: work_of(request) for name, request in wrong.items()}
        assert set(work.values()) == {Work(1, 6, 7)}, work

    def test_is_the_same_work_for_a_rotation_asked_again_with_the_wrong_key(
        self, merchant: SigningClient
    ) -> None:
        rotate(merchant, 0)
        body = b'{"idempotencyKey": "rotate", "overlapSeconds": 0}'
        again = replace(signed(merchant, target=f"/api/v1{ROTATE}", signature="0" * 64), body=body)
        assert work_of(again) == Work(1, 6, 7)

    def test_would_cost_a_merchants_keys_without_padding(self, merchant: SigningClient) -> None:
        """The naive twin: as many unsealings as there are keys."""

        def naive(request: SignedRequest) -> int:
            keys = list_verifying_keys(UUID(request.merchant_id), clock.now())
            return len([key.reveal() for key in keys])

        alone, five = registered_merchant(), with_active_keys(registered_merchant(), 5)
        assert naive(signed(alone)) != naive(signed(five))

    def test_reads_no_ended_key(self) -> None:
        many = with_ended_keys(registered_merchant(), 3000)
        with connections["owner"].cursor() as cursor:
            cursor.execute("ANALYZE merchants.api_key")
        with connection.cursor() as cursor:
            text = f"EXPLAIN (ANALYZE, TIMING OFF) {verifying_keys_text()}"
            cursor.execute(text, [many.merchant_id, clock.now(), 5])
            told = "\n".join(line for (line,) in cursor.fetchall())
        assert "api_key_active" in told, told
        assert "Rows Removed by Filter" not in told, told


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

    def test_does_not_verify_what_is_signed_with_anything_the_source_says(
        self, merchant: SigningClient
    ) -> None:
        """Whoever can break a row must not thereby know what to sign with."""
        source = inspect.getsource(sys.modules[verify_request.__module__])
        ApiKey.objects.update(sealed_key=b"x")
        for text in {"", "\0 matches nothing", *re.findall(r'"([^"\n]+)"', source)}:
            guess = SigningClient(merchant.merchant_id, text)
            refused(guess.get("/merchants/me"), 401, "invalid_signature")

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
        renewed = rotate(merchant, 3600)
        ApiKey.objects.filter(pk=broken).update(sealed_key=b"x")
        assert renewed.get("/merchants/me").status_code == 200


def watch(patch: pytest.MonkeyPatch, module: Any, name: str) -> list[str]:
    """Note the calls of a function, and let them happen."""
    calls, function = [], getattr(module, name)

    def watched(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return function(*args, **options)

    patch.setattr(module, name, watched)
    return calls
