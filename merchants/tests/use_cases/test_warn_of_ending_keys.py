"""Warning: 14 and 3 days before a key ends, once each, and never of one that is meant to end."""

from datetime import UTC, datetime, timedelta

import pytest

from merchants import conf
from merchants.models import ApiKey
from merchants.tasks import warn_of_keys_that_end
from merchants.use_cases.register_merchant import register_merchant
from merchants.use_cases.rotate_api_key import rotate_api_key
from merchants.use_cases.warn_of_ending_keys import _expiring, warn_of_ending_keys
from shared import clock, db
from shared.event_bus import publish
from shared.event_bus.schedule import run_job
from shared.models import Event
from shared.testing.races import race

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENDS = NOW + conf.KEY_LIFETIME
AN_INSTANT, DAY = timedelta(microseconds=1), timedelta(days=1)


def register(number: int = 0) -> ApiKey:
    return register_merchant(name="Acme", email=f"{number}@example.com", now=NOW).key


def rotate(old: ApiKey) -> ApiKey:
    rotate_api_key(
        merchant_id=old.merchant_id,
        signed_with=old.pk,
        fingerprint=b"rotation",
        overlap_seconds=conf.MAX_OVERLAP_SECONDS,
        now=NOW,
    )
    return ApiKey.objects.get(replaces=old)


def warned() -> list[tuple[str, int]]:
    events = Event.objects.filter(event_type="Merchant.ApiKey.Expiring").order_by("sequence")
    return [(event.payload["api_key_id"], event.payload["days_left"]) for event in events]


class TestWarnOfEndingKeys:
    def test_tells_14_and_3_days_before_the_end_and_not_earlier(self) -> None:
        key = str(register().pk)
        befores = (
            *(14 * DAY + AN_INSTANT, 14 * DAY, 13 * DAY, 3 * DAY + AN_INSTANT),
            *(3 * DAY, DAY, timedelta(), -DAY),
        )
        told = [warn_of_ending_keys(now=ENDS - before) for before in befores]
        assert told == [0, 1, 0, 0, 1, 0, 0, 0]
        assert warned() == [(key, 14), (key, 3)]

    def test_says_whose_key_it_is_and_when_it_ends(self) -> None:
        register()
        warn_of_ending_keys(now=ENDS - DAY)
        payload = Event.objects.latest("sequence").payload
        assert payload["merchant_email"] == "0@example.com"
        assert payload["api_key_expires_at"] == clock.iso(ENDS)

    def test_says_only_the_more_urgent_after_a_stop_of_days(self) -> None:
        key = str(register().pk)
        for _ in range(3):
            warn_of_ending_keys(now=ENDS - 2 * DAY)
        assert warned() == [(key, 3)]

    def test_says_nothing_of_a_key_that_a_rotation_replaced(self) -> None:
        rotate(register())
        assert warn_of_ending_keys(now=NOW + 28 * DAY) == 0

    def test_tells_of_a_replaced_key_whose_successor_was_revoked(self) -> None:
        old, _neighbour_whose_key_lasts_longer = register(), register(1)
        rotate(old).revoke(now=NOW)
        told = [warn_of_ending_keys(now=NOW + days * DAY) for days in (15, 16, 17, 27, 28)]
        assert told == [0, 1, 0, 1, 0]
        assert warned() == [(str(old.pk), 14), (str(old.pk), 3)]

    def test_tells_of_a_replaced_key_when_no_other_lasts_longer(self) -> None:
        old = register()
        successor = rotate(old)
        ApiKey.objects.filter(pk=successor.pk).update(expires_at=NOW + 5 * DAY)
        assert warn_of_ending_keys(now=NOW + 4 * DAY) == 1
        warn_of_ending_keys(now=NOW + 28 * DAY)
        assert warned() == [(str(successor.pk), 3), (str(old.pk), 3)]

    def test_says_nothing_of_a_revoked_key(self) -> None:
        register().revoke(now=NOW, may_be_last=True)
        assert warn_of_ending_keys(now=ENDS - DAY) == 0

    def test_at_once_by_four_tells_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conf, "WARNING_BATCH_SIZE", 3)
        keys = [str(register(number).pk) for number in range(10)]
        told = race([lambda: warn_of_ending_keys(now=ENDS - DAY)] * 4)
        told.append(warn_of_ending_keys(now=ENDS - DAY))  # what another had locked
        assert sum(told) == 10
        assert sorted(warned()) == sorted((key, 3) for key in keys)

    def test_would_tell_twice_if_it_were_remembered_afterwards(self) -> None:
        """The naive twin: tell, then note it; whoever dies between the two tells again."""
        key = register()

        def tell_then_note(*, dies: bool) -> None:
            for found in ApiKey.objects.to_warn_of(14, ENDS - DAY):
                told_of(found)
                if dies:
                    return
                found.note_warned(14)

        tell_then_note(dies=True)
        tell_then_note(dies=False)
        assert warned() == [(str(key.pk), 14)] * 2

    def test_is_a_job_of_the_hour(self) -> None:
        register()
        now = ENDS - DAY + timedelta(minutes=10)
        assert run_job("merchants.warn_of_ending_keys", now) is True
        assert run_job("merchants.warn_of_ending_keys", now + timedelta(minutes=40)) is False
        warn_of_keys_that_end(now=now)
        assert len(warned()) == 1


def told_of(key: ApiKey) -> None:
    with db.transaction():
        publish(_expiring(key, 14, ENDS - DAY))
