"""Waiting for a decision: as long as asked, and never so many that nobody can ask."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.test import RequestFactory
from rest_framework.request import Request

from shared.http import waiting
from shared.http.waiting import Places, preferred_wait_seconds, wait_for

PLACES = settings.WEB_THREADS // 2
LOUD = uuid4()


def seconds_of(header: str | None, default: int = 0) -> int:
    headers: dict[str, Any] = {} if header is None else {"HTTP_PREFER": header}
    return preferred_wait_seconds(Request(RequestFactory().get("/", **headers)), default=default)


class TestPreferredWaitSeconds:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("wait=1", 1),
            ("wait=30", 30),
            ("wait=31", 30),
            ("wait=99999", 30),
            ("wait=999999999", 30),
            ("wait=0", 0),
            ("wait=007", 7),
            ("Wait=5", 5),
            ('wait="5"', 5),
            ("wait = 5", 5),
            ("respond-async, wait=5", 5),
            ("respond-async,wait=5,return=minimal", 5),
            ("wait=5; foo=bar", 5),
            ("wait=5, wait=9", 5),
        ],
    )
    def test_are_what_was_asked_for_up_to_thirty(self, header: str, seconds: int) -> None:
        assert seconds_of(header, default=10) == seconds

    @pytest.mark.parametrize(
        "header",
        [
            *[None, "", "wait", "wait=", "wait=x", "wait=-1", "wait=1.5", "wait=1e1", "wait=+5"],
            *[
                "wait=٣",
                "wait=５",
                "nowait=5",
                "no-wait=5",
                "x=wait=5",
                "x;wait=5",
                "await=5",
                "wait==5",
            ],
            *[
                "wait=5s",
                "wait=5 6",
                "wait=" + "9" * 5000,
                ", " * 2000,
                "\0",
                "wait\0=5",
                "wait=1_0",
            ],
            *["wait=5" * 1000, " " * 5000 + "x", "\xff", "return=representation"],
        ],
    )
    def test_are_the_default_when_nothing_sensible_is_asked_for(self, header: str | None) -> None:
        assert seconds_of(header, default=10) == 10


class TestWaitFor:
    def test_looks_once_when_it_is_decided(self) -> None:
        looks = count(1)
        assert wait(lambda: next(looks), lambda seen: True) == 1
        assert next(looks) == 2

    def test_looks_once_when_nobody_waits(self) -> None:
        looks = count(1)
        assert wait(lambda: next(looks), lambda seen: False, 0) == 1

    def test_looks_until_it_is_decided(self) -> None:
        looks = count(1)
        assert wait(lambda: next(looks), lambda seen: seen == 4) == 4

    def test_ends_in_time(self) -> None:
        started_at = time.monotonic()
        assert wait(lambda: "undecided", lambda seen: False, 1) == "undecided"
        assert 1 <= time.monotonic() - started_at < 2

    def test_gives_its_place_back_when_looking_fails(self) -> None:
        def look() -> Iterator[int]:
            yield 1
            raise ConnectionError

        for _ in range(PLACES + 1):
            looking = look()
            with pytest.raises(ConnectionError):
                wait(lambda looking=looking: next(looking), lambda seen: False)  # type: ignore[misc]

    def test_looks_once_without_a_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waiting, "_places", taken := Places(1))
        assert taken.take(uuid4())
        looks = count(1)
        assert wait(lambda: next(looks), lambda seen: False) == 1

    def test_is_counted_by_how_it_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = waits()
        looks = count(1)
        wait(lambda: next(looks), lambda seen: True)  # decided at once: it did not wait
        wait(lambda: next(looks), lambda seen: seen > 3)
        wait(lambda: next(looks), lambda seen: False, 1)
        monkeypatch.setattr(waiting, "_places", taken := Places(1))
        assert taken.take(uuid4())
        wait(lambda: next(looks), lambda seen: False)
        grown = {ended: number - before.get(ended, 0) for ended, number in waits().items()}
        assert grown == {"decided": 1, "undecided": 1, "no_place": 1}


def wait(look: Callable[[], Any], is_decided: Callable[[Any], bool], seconds: int = 30) -> Any:
    return wait_for(look, is_decided, seconds, merchant_id=uuid4())


def waits() -> dict[str, float]:
    """How many requests wanted to wait, by how that ended."""
    (family,) = waiting._WAITS.collect()
    return {sample.labels["ended"]: sample.value for sample in family.samples}


class AnybodysPlaces(Places):
    """The naive twin: a semaphore that knows no merchants."""

    def _has_one_for(self, merchant_id: UUID) -> bool:
        return self._count > self._held.total()


class TestPlaces:
    """Sixteen, as a process with 32 threads has."""

    def test_are_half_of_the_threads(self) -> None:
        assert waiting._places._count == max(1, settings.WEB_THREADS // 2)

    def test_are_more_than_half_for_one_who_is_alone(self) -> None:
        # It takes one while eight are free, so the ninth, and then no more.
        assert self.taken(Places(16), LOUD, 40) == 9

    def test_are_a_quarter_for_each_of_the_others(self) -> None:
        self.check_neighbours(Places(16))

    def test_would_be_none_if_whoever_comes_first_took_them(self) -> None:
        with pytest.raises(AssertionError):
            self.check_neighbours(AnybodysPlaces(16))

    def check_neighbours(self, places: Places) -> None:
        self.taken(places, LOUD, 40)
        assert [self.taken(places, uuid4(), 40) for _ in range(3)] == [4, 3, 0]

    def test_are_taken_again_once_they_are_given_back(self) -> None:
        places = Places(16)
        held = self.taken(places, LOUD, 40)
        for _ in range(held):
            places.give_back(LOUD)
        assert self.taken(places, LOUD, 40) == held
        places.give_back(LOUD)
        assert places.take(LOUD)  # eight are free again
        assert not places.take(LOUD)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 64])
    def test_of_any_number_are_all_used_and_never_more(self, size: int) -> None:
        places = Places(size)
        assert sum(self.taken(places, uuid4(), size) for _ in range(4 * size)) == size
        assert not places.take(uuid4())

    def test_are_counted_exactly_by_threads_at_once(self) -> None:
        places, loud = Places(16), 12
        others = [uuid4() for _ in range(16)]
        for _ in range(50):
            barrier = threading.Barrier(loud + len(others))

            def come(merchant_id: UUID, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait(30)
                return places.take(merchant_id)

            with ThreadPoolExecutor(loud + len(others)) as pool:
                came = [LOUD] * loud + others
                held = [who for who, has in zip(came, pool.map(come, came), strict=True) if has]
            assert len(held) == 16
            assert held.count(LOUD) <= 9
            for merchant_id in held:
                places.give_back(merchant_id)
            assert not places._held

    def taken(self, places: Places, merchant_id: UUID, tries: int) -> int:
        return sum(places.take(merchant_id) for _ in range(tries))
