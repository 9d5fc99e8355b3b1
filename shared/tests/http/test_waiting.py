"""Waiting for a decision: as long as asked, and never so many that nobody can ask."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory
from rest_framework.request import Request

from shared.http.waiting import preferred_wait_seconds, wait_for

PLACES = settings.WEB_THREADS // 2


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
        assert wait_for(lambda: next(looks), lambda seen: True, 30) == 1
        assert next(looks) == 2

    def test_looks_once_when_nobody_waits(self) -> None:
        looks = count(1)
        assert wait_for(lambda: next(looks), lambda seen: False, 0) == 1

    def test_looks_until_it_is_decided(self) -> None:
        looks = count(1)
        assert wait_for(lambda: next(looks), lambda seen: seen == 4, 30) == 4

    def test_ends_in_time(self) -> None:
        started_at = time.monotonic()
        assert wait_for(lambda: "undecided", lambda seen: False, 1) == "undecided"
        assert 1 <= time.monotonic() - started_at < 2

    def test_gives_its_place_back_when_looking_fails(self) -> None:
        def look() -> Iterator[int]:
            yield 1
            raise ConnectionError

        for _ in range(PLACES + 1):
            looking = look()
            with pytest.raises(ConnectionError):
                wait_for(lambda looking=looking: next(looking), lambda seen: False, 30)  # type: ignore[misc]

    def test_leaves_half_of_the_threads_free(self) -> None:
        decided, waiting = threading.Event(), threading.Semaphore(0)

        def look() -> bool:
            waiting.release()
            return decided.is_set()

        with ThreadPoolExecutor(PLACES) as pool:
            others = [pool.submit(wait_for, look, bool, 30) for _ in range(PLACES)]
            for _ in range(2 * PLACES):  # each has looked twice, so each has a place
                assert waiting.acquire(timeout=10)
            while sum(other.running() for other in others) < PLACES:
                time.sleep(0.001)
            looks = count(1)
            one_too_many = wait_for(lambda: next(looks), lambda seen: False, 30)
            decided.set()
            assert [other.result(10) for other in others] == [True] * PLACES
        assert one_too_many == 1
