"""Purging: the ciphertext goes, the evidence stays."""

from datetime import UTC, datetime, timedelta

import pytest

from merchants import conf
from merchants.models import ApiKey
from merchants.use_cases.purge_api_keys import purge_api_keys
from merchants.use_cases.register_merchant import register_merchant
from merchants.use_cases.revoke_api_key import revoke_api_key
from merchants.use_cases.rotate_api_key import Rotated, rotate_api_key
from shared.models import Event
from shared.testing.races import race

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENDS = NOW + conf.KEY_LIFETIME


def register(number: int = 0) -> ApiKey:
    return register_merchant(name="Acme", email=f"{number}@example.com", now=NOW).key


def rotate(key: ApiKey) -> Rotated:
    return rotate_api_key(
        merchant_id=key.merchant_id,
        signed_with=key.pk,
        fingerprint=b"rotation",
        overlap_seconds=60,
        now=NOW,
    )


def expired_events() -> list[str]:
    events = Event.objects.filter(event_type="Merchant.ApiKey.Expired").order_by("sequence")
    return [event.payload["api_key_id"] for event in events]


class TestPurgeApiKeys:
    def test_wipes_a_key_at_the_second_it_expires_and_not_before(self) -> None:
        key = register()
        assert purge_api_keys(now=ENDS - timedelta(microseconds=1)) == 0
        assert expired_events() == []
        assert purge_api_keys(now=ENDS) == 1
        key.refresh_from_db()
        assert (key.sealed_key, key.purged_at) == (None, ENDS)
        assert (key.prefix, key.created_at, key.expires_at) == (key.prefix, NOW, ENDS)
        assert expired_events() == [str(key.pk)]

    def test_does_nothing_the_second_time(self) -> None:
        register()
        assert [purge_api_keys(now=ENDS) for _ in range(2)] == [1, 0]
        assert len(expired_events()) == 1

    def test_wipes_a_revoked_key_without_calling_it_expired(self) -> None:
        first = register()
        rotated = rotate(first)
        revoke_api_key(merchant_id=first.merchant_id, key_id=first.pk, now=NOW)
        assert purge_api_keys(now=NOW) == 1
        first.refresh_from_db()
        rotated.key.refresh_from_db()
        assert first.sealed_key is None
        assert first.revoked_at == NOW
        assert rotated.key.sealed_key is not None
        assert expired_events() == []

    def test_wipes_a_replaced_key_once_it_opens_nothing_any_more(self) -> None:
        """For a day after its end it may ask its rotation again, and has to be there for that."""
        first = register()
        rotate(first)
        assert purge_api_keys(now=NOW + conf.REPEATABLE_FOR - timedelta(microseconds=1)) == 0
        assert purge_api_keys(now=NOW + conf.REPEATABLE_FOR) == 1
        assert expired_events() == [str(first.pk)]

    def test_works_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conf, "PURGE_BATCH_SIZE", 2)
        keys = [register(number) for number in range(5)]
        assert purge_api_keys(now=ENDS) == 5
        assert sorted(expired_events()) == sorted(str(key.pk) for key in keys)

    def test_at_once_by_four_wipes_and_tells_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conf, "PURGE_BATCH_SIZE", 3)
        keys = [register(number) for number in range(10)]
        purged = race([lambda: purge_api_keys(now=ENDS)] * 4)
        purged.append(purge_api_keys(now=ENDS))  # what was locked by another when looked at
        assert sum(purged) == 10
        assert sorted(expired_events()) == sorted(str(key.pk) for key in keys)
