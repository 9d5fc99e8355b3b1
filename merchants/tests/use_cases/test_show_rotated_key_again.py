"""Asking a rotation again: for whoever lost the answer, and never for who stole the old key."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connections

from merchants.models import ApiKey
from merchants.queries import lock_rotated_key
from merchants.tests.keys import ROTATE, ask_rotation, key_ids, revoke, rotate, status
from merchants.use_cases.purge_api_keys import purge_api_keys
from merchants.use_cases.revoke_api_key_as_operator import revoke_api_key_as_operator
from merchants.use_cases.show_rotated_key_again import show_rotated_key_again
from shared import clock, db
from shared.errors import DomainError
from shared.models import Event, IdempotencyRecord
from shared.testing.api import Written, refused, registered_merchant, send_v2
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
AN_INSTANT = timedelta(microseconds=1)


def shown_again() -> list[dict[str, Any]]:
    """What was told of answers that were given again."""
    events = Event.objects.filter(event_type="Merchant.ApiKey.ShownAgain").order_by("sequence")
    return [event.payload for event in events]


def with_key(merchant: SigningClient, answer: Any) -> SigningClient:
    return SigningClient(merchant.merchant_id, answer.json()["apiKey"])


def key_of(merchant: SigningClient) -> ApiKey:
    """The row of the key that this client signs with."""
    rows = ApiKey.objects.filter(merchant_id=merchant.merchant_id)
    return next(row for row in rows if row.reveal() == merchant.api_key)


class TestLostAnswer:
    @pytest.mark.parametrize("overlap_seconds", [0, 60])
    def test_is_given_again_to_the_replaced_key(
        self, merchant: SigningClient, overlap_seconds: int
    ) -> None:
        first = ask_rotation(merchant, overlap_seconds)
        before = ApiKey.objects.count()
        again = ask_rotation(merchant, overlap_seconds)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert ApiKey.objects.count() == before
        assert status(with_key(merchant, again)) == 200

    def test_is_told_each_time_without_the_key(self, merchant: SigningClient) -> None:
        renewed = with_key(merchant, ask_rotation(merchant, 0))
        for _ in range(2):
            ask_rotation(merchant, 0)
        one, two = shown_again()
        assert one == two
        assert one["api_key_prefix"] == renewed.api_key[:14]
        assert one["signed_with_prefix"] == merchant.api_key[:14]
        assert renewed.api_key not in str(one)

    def test_is_given_again_for_a_day_whatever_was_purged_meanwhile(
        self, merchant: SigningClient
    ) -> None:
        with time_machine.travel(clock.now(), tick=False) as travelling:
            first = ask_rotation(merchant, 0)
            travelling.shift(DAY - AN_INSTANT)
            purge_api_keys(now=clock.now())
            assert ask_rotation(merchant, 0).content == first.content
            travelling.shift(AN_INSTANT)
            refused(ask_rotation(merchant, 0), 401, "invalid_signature")
            assert status(with_key(merchant, first)) == 200

    def test_is_given_to_a_key_that_ran_out_by_itself(self, merchant: SigningClient) -> None:
        ends_at = ApiKey.objects.get().expires_at
        with time_machine.travel(ends_at - timedelta(minutes=1), tick=False) as travelling:
            first = ask_rotation(merchant, 3600)
            assert clock.parse(first.json()["previousKeyExpiresAt"]) == ends_at
            travelling.move_to(ends_at + timedelta(minutes=1))
            assert status(merchant) == 401
            assert ask_rotation(merchant, 3600).content == first.content

    def test_is_given_to_the_new_key_without_ado(self, merchant: SigningClient) -> None:
        """Whoever signs with it has it."""
        first = ask_rotation(merchant, 0)
        renewed = with_key(merchant, first)
        assert ask_rotation(renewed, 0).content == first.content
        assert shown_again() == []

    def test_at_once_by_many_is_one_new_key(self) -> None:
        merchant = registered_merchant()

        def ask() -> Any:
            answer = ask_rotation(SigningClient(merchant.merchant_id, merchant.api_key), 0)
            return answer.status_code, answer.content

        answers = race([ask] * 6)
        assert len(set(answers)) == 1
        assert answers[0][0] == 201
        assert ApiKey.objects.count() == 2
        assert len(shown_again()) == 5


class TestThief:
    """Holds the old key, and every byte that was ever sent."""

    def test_gets_nothing_after_the_new_keys_first_use(self, merchant: SigningClient) -> None:
        renewed = with_key(merchant, ask_rotation(merchant, 0))
        assert status(renewed) == 200
        refused(ask_rotation(merchant, 0), 401, "invalid_signature")
        assert shown_again() == []

    def test_gets_nothing_after_it_inside_the_overlap_either(self, merchant: SigningClient) -> None:
        answer = ask_rotation(merchant, 3600)
        assert status(with_key(merchant, answer)) == 200
        again = ask_rotation(merchant, 3600)
        refused(again, 409, "key_not_shown_again")
        assert answer.json()["apiKey"] not in again.content.decode()

    @pytest.mark.parametrize("which", ["the old key", "the new key"])
    @pytest.mark.parametrize("overlap_seconds", [0, 3600])
    def test_gets_nothing_after_a_revocation(
        self, merchant: SigningClient, which: str, overlap_seconds: int
    ) -> None:
        spare = rotate(merchant, 3600, "spare")
        renewed = with_key(merchant, ask_rotation(merchant, overlap_seconds))
        old_id, _, new_id = key_ids(spare)
        revoked = old_id if which == "the old key" else new_id
        assert revoke(spare, revoked).status_code == 204
        answer = ask_rotation(merchant, overlap_seconds)
        assert answer.status_code in (401, 409)
        assert answer.status_code == 401 or which == "the new key"
        for thief in (merchant, spare):
            assert renewed.api_key not in ask_rotation(thief, overlap_seconds).content.decode()

    def test_gets_nothing_after_an_operator_revoked(self, merchant: SigningClient) -> None:
        ask_rotation(merchant, 0)
        facts: dict[str, Any] = {"actor": "olga", "reason": "stolen", "now": clock.now()}
        revoke_api_key_as_operator(key_id=key_of(merchant).pk, **facts)
        refused(ask_rotation(merchant, 0), 401, "invalid_signature")

    def test_opens_nothing_but_that_rotation(self, merchant: SigningClient) -> None:
        ask_rotation(merchant, 0)
        body = {"idempotencyKey": "rotate", "overlapSeconds": 0}
        exact, before = json.dumps(body).encode(), Written.now()
        (old_id, new_id) = [str(key.pk) for key in ApiKey.objects.order_by("created_at")]
        for method, path, sent, header in (
            ("POST", ROTATE, json.dumps(body | {"idempotencyKey": "another"}).encode(), None),
            ("POST", ROTATE, json.dumps(body | {"overlapSeconds": 1}).encode(), None),
            ("POST", ROTATE, exact + b" ", None),
            ("POST", ROTATE, b'{"overlapSeconds": 0}', "rotate"),
            ("POST", ROTATE, exact, "rotate"),
            ("POST", ROTATE + "?again", exact, None),
            ("POST", "/payments", exact, None),
            ("POST", "/tokens", exact, None),
            ("PUT", ROTATE, exact, None),
            ("DELETE", f"/merchants/keys/{new_id}", exact, None),
            ("DELETE", f"/merchants/keys/{old_id}", exact, None),
            ("GET", "/merchants/keys", b"", None),
            ("GET", "/merchants/me", b"", None),
            ("GET", "/payments", b"", None),
        ):
            answer = send_v2(merchant, method, path, sent, key=header)
            refused(answer, 401, "invalid_signature")
        assert Written.now() == before

    def test_cannot_rotate_once_the_record_of_the_rotation_is_gone(
        self, merchant: SigningClient
    ) -> None:
        """Nor in the moment in which it expires: the key would be the first with that wish."""
        ask_rotation(merchant, 0)
        IdempotencyRecord.objects.all().delete()
        before = Written.now()
        refused(ask_rotation(merchant, 0), 401, "invalid_signature")
        assert Written.now() == before

    def test_is_another_merchant(self, merchant: SigningClient, other: SigningClient) -> None:
        ask_rotation(merchant, 0)
        for who, key in ((merchant, other), (other, merchant)):
            thief = SigningClient(who.merchant_id, key.api_key)
            refused(ask_rotation(thief, 0), 401, "invalid_signature")


def show(merchant: SigningClient, key_id: UUID, signed_with: UUID) -> bool:
    """Whether the new key would be shown."""
    try:
        show_rotated_key_again(
            merchant_id=UUID(merchant.merchant_id),
            key_id=key_id,
            signed_with=signed_with,
            now=clock.now(),
        )
    except DomainError:
        return False
    return True


def use(merchant: SigningClient, used: threading.Event) -> bool:
    assert status(merchant) == 200
    used.set()
    return True


def show_if_used(
    merchant: SigningClient, key_id: UUID, signed_with: UUID, used: threading.Event
) -> bool:
    was_used = used.is_set()
    return show(merchant, key_id, signed_with) and was_used


def use_elsewhere(merchant: SigningClient, used: threading.Event) -> bool:
    try:
        return use(merchant, used)
    finally:
        connections.close_all()


def somebody_waits_for_a_lock() -> bool:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


class TestFirstUseAtTheSameTime:
    def test_is_decided_before_or_after_and_never_shown_afterwards(self) -> None:
        """Once the request that used it first was let in, nobody is shown it any more."""
        for _ in range(5):
            merchant = registered_merchant()
            renewed = with_key(merchant, ask_rotation(merchant, 0))
            old, new, used = key_of(merchant).pk, key_of(renewed).pk, threading.Event()
            works: list[Callable[[], bool]] = [
                partial(use, renewed, used),
                *[partial(show_if_used, merchant, new, old, used)] * 3,
            ]
            assert race(works) == [True, False, False, False]
            assert show(merchant, new, old) is False

    def test_waits_for_who_is_deciding_to_show_it(self) -> None:
        merchant = registered_merchant()
        renewed = with_key(merchant, ask_rotation(merchant, 0))
        merchant_id, new, used = UUID(merchant.merchant_id), key_of(renewed).pk, threading.Event()
        with ThreadPoolExecutor(1) as pool:
            with db.transaction():
                key = lock_rotated_key(merchant_id=merchant_id, key_id=new)
                assert key.may_be_shown_again(clock.now())
                using = pool.submit(use_elsewhere, renewed, used)
                while not (somebody_waits_for_a_lock() or used.is_set()):
                    time.sleep(0.01)
                assert not used.is_set()
            assert using.result()

    def test_would_not_wait_if_the_row_were_only_read(self) -> None:
        """The naive twin: shown after its first use was over."""
        merchant = registered_merchant()
        renewed = with_key(merchant, ask_rotation(merchant, 0))
        key = ApiKey.objects.select_related("replaces").get(pk=key_of(renewed).pk)
        assert status(renewed) == 200
        assert key.may_be_shown_again(clock.now())

    def test_of_a_key_of_nobody_is_not_shown(self, merchant: SigningClient) -> None:
        ask_rotation(merchant, 0)
        assert show(merchant, uuid4(), key_of(merchant).pk) is False
