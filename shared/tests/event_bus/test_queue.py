import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from shared.event_bus import _outstanding, _queue, operating
from shared.event_bus._deliver import deliver_again
from shared.event_bus._outstanding import Shore
from shared.event_bus._queue import Queue, remove
from shared.events.operators import OperatorActionTaken
from shared.identifiers import new_id
from shared.models import Publication
from shared.tests.event_bus.conftest import (
    LISTENER,
    Effects,
    action,
    deliver_to_test,
    outstanding,
    publish_committed,
)

pytestmark = pytest.mark.django_db(transaction=True)

FOLLOWERS = 12


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events a batch: sixteen rows are a window."""
    monkeypatch.setattr(_queue, "BATCH_SIZE", 2)
    Shore.look_everywhere()


@pytest.fixture
def stuck(effects: Effects) -> str:
    """A story whose head failed, with a window full of followers; it fails until `mended`."""
    story = str(new_id())

    def fail(events: Sequence[OperatorActionTaken]) -> None:
        if any(event.correlation_id == story for event in events):
            raise ValueError("broken")

    effects.before = fail
    publish_committed(action(0, story))
    deliver_to_test()
    publish_committed(*(action(number, story) for number in range(1, FOLLOWERS + 8)))
    return story


class TestStuckHeads:
    def test_do_not_fill_the_window_with_their_followers(
        self, effects: Effects, stuck: str
    ) -> None:
        publish_committed(action(100))

        looks = [deliver_to_test() for _ in range(4)]

        assert effects.numbers() == [100]
        assert looks[-1] == 0

    def test_would_fill_it_if_nobody_put_their_followers_off(
        self, effects: Effects, stuck: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The naive twin: a window that only skips what it cannot claim.
        monkeypatch.setattr(Queue, "_execute", without_putting_off)
        publish_committed(action(100))

        for _ in range(4):
            deliver_to_test()

        assert effects.numbers() == []

    def test_are_due_before_their_followers(self, effects: Effects, stuck: str) -> None:
        while deliver_to_test():
            pass

        head, *followers = outstanding()
        assert {row["due_at"] for row in followers} == {head["due_at"]}

    def test_that_are_parked_are_looked_past_for_a_minute(
        self, effects: Effects, stuck: str
    ) -> None:
        park_head()

        while deliver_to_test():
            pass

        seconds = [row["due_at"] - datetime.now(UTC) for row in outstanding()[1:]]
        assert min(seconds) > timedelta(seconds=50)

    def test_take_their_followers_along_when_they_end(self, effects: Effects, stuck: str) -> None:
        while deliver_to_test():
            pass
        mended(effects)
        hasten_head()
        while deliver_again():
            pass

        while deliver_to_test():
            pass

        assert effects.numbers() == list(range(FOLLOWERS + 8))

    @pytest.mark.parametrize("act", [operating.retry, operating.skip])
    def test_take_them_along_when_an_operator_acts(
        self, effects: Effects, stuck: str, act: object
    ) -> None:
        park_head()
        while deliver_to_test():
            pass
        mended(effects)

        act(Publication, [outstanding()[0]["id"]], actor="ada", reason="ok", now=datetime.now(UTC))  # type: ignore[operator]
        while deliver_again() or deliver_to_test():
            pass

        assert effects.numbers()[-FOLLOWERS:] == list(range(8, FOLLOWERS + 8))

    def test_do_not_lose_a_follower_that_is_put_off_while_they_end(
        self, effects: Effects, stuck: str
    ) -> None:
        mended(effects)
        hasten_head()
        claims, _ = Queue.again().claim()
        with transaction.atomic():
            remove(claims)

            in_thread(deliver_to_test)  # puts the other followers off

            followers = outstanding()
            assert followers[0]["due_at"] <= datetime.now(UTC)
        while deliver_to_test():
            pass
        assert effects.numbers() == list(range(1, FOLLOWERS + 8))


class TestBurst:
    def test_of_one_story_does_not_delay_the_others(self, effects: Effects) -> None:
        story = new_id()
        publish_committed(*(action(number, story) for number in range(FOLLOWERS + 8)))
        publish_committed(action(100))
        claims, _ = Queue.fresh(LISTENER).claim()
        assert len(claims) == 1, "the head of the burst is under way elsewhere"

        for _ in range(4):
            deliver_to_test()

        assert effects.numbers() == [100]

    def test_comes_through_in_order(self, effects: Effects) -> None:
        story = new_id()
        publish_committed(*(action(number, story) for number in range(FOLLOWERS + 8)))

        while deliver_to_test():
            pass

        assert all(earlier < later for earlier, later in pairwise(effects.numbers()))
        assert len(effects.numbers()) == FOLLOWERS + 8


class TestShore:
    def test_spares_claims_what_was_done_long_ago(self, effects: Effects) -> None:
        publish_committed(action(0))
        deliver_to_test()
        shore = Shore.of(LISTENER)

        assert shore.since() > datetime.now(UTC) - timedelta(seconds=30)

    def test_finds_what_was_committed_late_with_an_earlier_time(self, effects: Effects) -> None:
        publish_committed(action(0))
        deliver_to_test()
        publish_committed(action(1))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shared.publication SET due_at = due_at - interval '1 hour'")
        assert deliver_to_test() == 0

        Shore.of(LISTENER)._look_at = 0.0  # a second later

        assert deliver_to_test() == 1

    def test_takes_dear_looks_rarely(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter([10.0, 12.0, 20.0, 20.0, 51.9, 51.9, 52.0])
        monkeypatch.setattr(_outstanding, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        shore, seen = Shore(), datetime(2026, 1, 1, tzinfo=UTC)

        looks = []
        for _ in range(3):
            looks.append(shore.since())
            shore.saw(seen)

        assert looks == [_outstanding._THE_BEGINNING, seen - Shore._MARGIN, seen - Shore._MARGIN]
        assert shore.since() == _outstanding._THE_BEGINNING


def without_putting_off(queue: Queue, statement: str, *parameters: Any) -> Any:
    if statement != _queue._CLAIM:
        return []
    looked = (queue.parameter, queue.shore.since(), _queue._SMALLEST_WINDOW)
    with connection.cursor() as cursor:
        cursor.execute(statement.format(which=queue.which), [*looked, *parameters])
        return cursor.fetchall()


def mended(effects: Effects) -> None:
    effects.before = lambda events: None


def park_head() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shared.publication SET parked_at = now(), due_at = NULL WHERE failures > 0"
        )


def hasten_head() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shared.publication SET due_at = now() WHERE failures > 0")
    Shore.look_everywhere()


def in_thread(work: object) -> None:
    def run() -> None:
        work()  # type: ignore[operator]
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=20)
