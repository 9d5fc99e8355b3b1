"""Revoking: at once, and never the last key."""

import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest

from merchants.models import ApiKey, LastActiveKey
from merchants.tests.keys import key_ids, revoke, rotate
from merchants.use_cases.revoke_api_key import revoke_api_key
from shared import clock
from shared.models import Event
from shared.testing.api import refused, registered_merchant
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


def with_two_keys() -> tuple[SigningClient, SigningClient]:
    """One merchant, signing with each of its keys."""
    merchant = registered_merchant()
    return merchant, rotate(merchant, 3600)


class TestRevokeApiKey:
    def test_refuses_the_next_request_signed_with_it(self) -> None:
        old, new = with_two_keys()
        (old_id, _) = key_ids(new)
        assert old.get("/merchants/me").status_code == 200
        assert revoke(new, old_id, "k").status_code == 204
        refused(old.get("/merchants/me"), 401, "invalid_signature")
        assert new.get("/merchants/me").status_code == 200
        assert [key["active"] for key in new.get("/merchants/keys").json()["data"]] == [True, False]

    def test_may_be_asked_for_with_the_key_itself(self) -> None:
        old, new = with_two_keys()
        (old_id, _) = key_ids(new)
        assert revoke(old, old_id, "k").status_code == 204
        refused(revoke(old, old_id, "k"), 401, "invalid_signature")

    def test_refuses_the_last_key(self, merchant: SigningClient) -> None:
        (only,) = key_ids(merchant)
        answer = revoke(merchant, only, "k")
        refused(answer, 409, "last_active_key")
        assert merchant.get("/merchants/me").status_code == 200
        assert Event.objects.filter(event_type="Merchant.ApiKey.Revoked").count() == 0

    def test_knows_only_the_merchants_own_active_keys(self, other: SigningClient) -> None:
        _, new = with_two_keys()
        (old_id, _) = key_ids(new)
        (theirs,) = key_ids(other)
        revoke(new, old_id, "k")
        for number, key_id in enumerate((old_id, theirs, uuid4(), "x", theirs.upper())):
            answer = revoke(new, key_id, f"k{number}")
            refused(answer, 404, "api_key_not_found")
        assert other.get("/merchants/me").status_code == 200

    def test_tells_once(self) -> None:
        _, new = with_two_keys()
        (old_id, _) = key_ids(new)
        for _ in range(2):
            revoke(new, old_id, "k")
        (event,) = Event.objects.filter(event_type="Merchant.ApiKey.Revoked")
        assert event.payload["api_key_id"] == old_id


def assert_one_key_is_left(merchant_id: str) -> None:
    assert ApiKey.objects.active(clock.now()).filter(merchant_id=merchant_id).count() == 1


class TestTwoRevocationsAtOnce:
    def test_leave_one_key(self) -> None:
        for _ in range(5):
            merchant, other_key = with_two_keys()
            ids = [UUID(key_id) for key_id in key_ids(other_key)]
            ended = race([partial(self.revoke, merchant.merchant_id, key_id) for key_id in ids])
            assert sorted(ended) == [False, True]
            assert_one_key_is_left(merchant.merchant_id)

    def test_would_leave_none_without_the_merchants_lock(self) -> None:
        """The naive twin: each sees that the other key remains, then both end theirs."""
        merchant, other_key = with_two_keys()
        both_looked = threading.Barrier(2, timeout=30)
        works: list[Callable[[], int]] = [
            partial(look_then_revoke, merchant.merchant_id, key_id, both_looked)
            for key_id in key_ids(other_key)
        ]
        race(works)
        with pytest.raises(AssertionError):
            assert_one_key_is_left(merchant.merchant_id)

    def revoke(self, merchant_id: str, key_id: UUID) -> bool:
        try:
            revoke_api_key(merchant_id=UUID(merchant_id), key_id=key_id, now=clock.now())
        except LastActiveKey:
            return False
        return True


def look_then_revoke(merchant_id: str, key_id: str, both_looked: threading.Barrier) -> int:
    others = ApiKey.objects.active(clock.now()).filter(merchant_id=merchant_id).exclude(pk=key_id)
    assert others.exists()
    both_looked.wait()
    return ApiKey.objects.filter(pk=key_id).update(revoked_at=clock.now())
