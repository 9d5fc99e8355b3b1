"""Races: the same moment in many threads, each with a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def race(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """What the works return, in their order, after a barrier let all of them go at once."""
    barrier = threading.Barrier(len(works), timeout=30)

    def run(work: Callable[[], Result]) -> Result:
        try:
            connections["default"].ensure_connection()
            barrier.wait()
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
