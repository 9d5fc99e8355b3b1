"""Rotating: no request fails inside the overlap, none passes after it."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
import time_machine

from merchants import conf
from merchants.models import ApiKey, Merchant
from merchants.tests.keys import ROTATE, ask_rotation, rotate, status
from merchants.use_cases.rotate_api_key import Rotated, rotate_api_key
from merchants.use_cases.verify_request import InvalidSignature
from shared import clock
from shared.models import Event
from shared.testing.api import Written, payment_body, refused, registered_merchant, send_v2
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


class TestRotateApiKey:
    def test_ends_the_old_key_at_once_without_an_overlap(self, merchant: SigningClient) -> None:
        renewed = rotate(merchant, 0)
        assert (status(merchant), status(renewed)) == (401, 200)

    def test_lets_both_verify_until_the_overlap_ends(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now(), tick=False) as time:
            renewed = rotate(merchant, 60)
            assert (status(merchant), status(renewed)) == (200, 200)
            time.shift(60 * SECOND - timedelta(microseconds=1))
            assert (status(merchant), status(renewed)) == (200, 200)
            time.shift(timedelta(microseconds=1))
            assert (status(merchant), status(renewed)) == (401, 200)

    def test_overlaps_for_a_day_unless_told_otherwise(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now(), tick=False) as time:
            body = b'{"idempotencyKey": "k"}'
            answer = send_v2(merchant, "POST", ROTATE, body).json()
            ends_at = clock.parse(answer["previousKeyExpiresAt"])
            assert ends_at == clock.now() + timedelta(days=1)
            assert clock.parse(answer["apiKeyExpiresAt"]) == clock.now() + timedelta(days=90)
            time.move_to(ends_at)
            assert status(merchant) == 401

    def test_replaces_the_key_that_signed_and_no_other(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now(), tick=False) as time:
            second = rotate(merchant, 3600, "one")
            third = rotate(second, 60, "two")
            assert [status(one) for one in (merchant, second, third)] == [200, 200, 200]
            time.shift(60 * SECOND)
            assert [status(one) for one in (merchant, second, third)] == [200, 401, 200]

    def test_never_lets_the_old_key_live_longer(self, merchant: SigningClient) -> None:
        with time_machine.travel(clock.now(), tick=False) as time:
            rotate(merchant, 60, "one")
            answer = ask_rotation(merchant, 3600, "two").json()
            ends_at = clock.parse(answer["previousKeyExpiresAt"])
            assert ends_at == clock.now() + 60 * SECOND
            time.move_to(ends_at)
            assert status(merchant) == 401

    def test_tells_without_the_key(self, merchant: SigningClient) -> None:
        renewed = rotate(merchant, 60)
        event = Event.objects.get(event_type="Merchant.ApiKey.Rotated")
        assert event.payload["api_key_prefix"] == renewed.api_key[:14]
        assert renewed.api_key not in str(event.payload)

    def test_fails_no_request_inside_its_overlap(self, merchant: SigningClient) -> None:
        def pay() -> list[int]:
            sender = SigningClient(merchant.merchant_id, merchant.api_key)
            return [sender.post("/payments", payment_body()).status_code for _ in range(5)]

        def turn() -> list[int]:
            rotate(SigningClient(merchant.merchant_id, merchant.api_key), 60)
            return []

        works: list[Callable[[], list[int]]] = [pay, pay, turn, pay]
        assert {code for statuses in race(works) for code in statuses} == {202}

    def test_at_once_by_many_issues_a_key_for_each(self) -> None:
        merchant = registered_merchant()

        def turn(number: int) -> str:
            sender = SigningClient(merchant.merchant_id, merchant.api_key)
            return rotate(sender, 60, f"key-{number}").api_key

        keys = race([partial(turn, number) for number in range(4)])
        assert len({merchant.api_key, *keys}) == 5
        senders = [SigningClient(merchant.merchant_id, key) for key in keys]
        assert [status(sender) for sender in senders] == [200] * 4


def active_keys() -> int:
    return ApiKey.objects.active(clock.now()).count()


class TestLimit:
    def test_is_five_active_keys(self, merchant: SigningClient) -> None:
        for number in range(4):
            rotate(merchant, 3600, f"key-{number}")
        before = Written.now()
        refused(ask_rotation(merchant, 3600, "one more"), 409, "too_many_active_keys")
        assert Written.now() == before
        assert active_keys() == 5

    def test_leaves_a_rotation_that_ends_its_key_at_once(self, merchant: SigningClient) -> None:
        for number in range(4):
            rotate(merchant, 3600, f"key-{number}")
        renewed = rotate(merchant, 0, "at once")
        assert (status(merchant), status(renewed)) == (401, 200)
        assert active_keys() == 5

    def test_counts_no_ended_key(self, merchant: SigningClient) -> None:
        for number in range(10):
            merchant = rotate(merchant, 0, f"key-{number}")
        assert status(merchant) == 200

    def test_is_exact_when_many_rotate_at_once(self) -> None:
        for overlap_seconds, expected in ((3600, [201] * 4 + [409] * 4), (0, [201] + [401] * 7)):
            merchant = registered_merchant()
            answers = race([partial(turn, merchant, overlap_seconds, n) for n in range(8)])
            assert sorted(answers) == expected
            left = ApiKey.objects.active(clock.now()).filter(merchant_id=merchant.merchant_id)
            assert left.count() == (5 if overlap_seconds else 1)

    def test_would_be_overrun_without_the_merchants_lock(self) -> None:
        """The naive twin: each counts four, then all issue theirs."""
        merchant = registered_merchant()
        for number in range(3):
            rotate(merchant, 3600, f"key-{number}")
        all_counted = threading.Barrier(3, timeout=30)

        def count_then_issue() -> ApiKey:
            assert active_keys() < conf.MAX_ACTIVE_KEYS
            all_counted.wait()
            row = Merchant.objects.get()
            return ApiKey.issue(merchant=row, now=clock.now())[0]

        race([count_then_issue] * 3)
        assert active_keys() > conf.MAX_ACTIVE_KEYS


def turn(merchant: SigningClient, overlap_seconds: int, number: int) -> int:
    sender = SigningClient(merchant.merchant_id, merchant.api_key)
    return int(ask_rotation(sender, overlap_seconds, f"key-{number}").status_code)


class TestKeyThatEndedMeanwhile:
    """Between being let in and getting the merchant's lock."""

    def rotate(self, key: ApiKey, now: datetime) -> Rotated:
        return rotate_api_key(
            merchant_id=key.merchant_id,
            signed_with=key.pk,
            fingerprint=uuid4().bytes,
            overlap_seconds=0,
            now=now,
        )

    def test_rotates_no_more_whatever_its_clock_says(self, merchant: SigningClient) -> None:
        key, now = ApiKey.objects.get(), clock.now()
        self.rotate(key, now)
        with pytest.raises(InvalidSignature):
            self.rotate(key, now - timedelta(seconds=2))

    def test_rotates_no_more_after_a_revocation(self, merchant: SigningClient) -> None:
        key = ApiKey.objects.get()
        key.revoke(now=clock.now(), may_be_last=True)
        with pytest.raises(InvalidSignature):
            self.rotate(key, clock.now() - timedelta(seconds=2))
