"""Rotating: no request fails inside the overlap, none passes after it."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import time_machine

from merchants.tests.keys import ROTATE, ask_rotation, rotate, status
from shared import clock
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant, send_v2
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
