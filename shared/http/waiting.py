"""
Waiting for a decision inside a request (`Prefer: wait=N`), without holding a transaction.

At most half of a process's threads wait; the others stay free to accept. Those places are shared:
a merchant takes one while it holds fewer than a quarter of them, or while half of all are free. So
the slow requests of one leave places for the others, and one who is alone gets more than half. Who
gets no place is answered as undecided at once.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request

from shared import metrics

Seen = TypeVar("Seen")

_LOOK_EVERY_SECONDS = 0.02
_MAX_WAIT_SECONDS = 30
# One preference among several, as RFC 7240 writes them; beyond nine digits it is not a duration.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[;,]|$)', re.ASCII | re.IGNORECASE)
_WAITS = metrics.counter(
    "payflow_http_waits", "Requests that wanted to wait for a decision", ["ended"]
)
_DECIDED, _UNDECIDED, _NO_PLACE = map(_WAITS.labels, ("decided", "undecided", "no_place"))


class Places:
    """The places of those who wait; safe to share by threads."""

    def __init__(self, count: int) -> None:
        """All are free."""
        self._count = count
        self._held: Counter[UUID] = Counter()
        self._lock = threading.Lock()

    def take(self, merchant_id: UUID) -> bool:
        """Take a place for the merchant, if there is one for it."""
        with self._lock:
            if not self._has_one_for(merchant_id):
                return False
            self._held[merchant_id] += 1
            return True

    def give_back(self, merchant_id: UUID) -> None:
        """End what `take` began."""
        with self._lock:
            self._held[merchant_id] -= 1
            self._held += Counter()  # forgets those who hold none

    def _has_one_for(self, merchant_id: UUID) -> bool:
        free = self._count - self._held.total()
        is_modest = 4 * self._held[merchant_id] < self._count
        return free > 0 and (is_modest or 2 * free >= self._count)


_places = Places(max(1, settings.WEB_THREADS // 2))


def preferred_wait_seconds(request: Request, *, default: int = 0) -> int:
    """The N of `Prefer: wait=N` within 1…30, or the default when the header asks for nothing."""
    match = _WAIT.search(request.META.get("HTTP_PREFER", ""))
    if match is None:
        return default
    return min(int(match[1]), _MAX_WAIT_SECONDS)


def wait_for(
    look: Callable[[], Seen],
    is_decided: Callable[[Seen], bool],
    seconds: int,
    *,
    merchant_id: UUID,
) -> Seen:
    """
    Look every 20 ms until it is decided or the time is over; returns what was seen last.

    Looks once and returns when this process has no place for the merchant to wait at.
    """
    seen = look()
    if is_decided(seen) or seconds <= 0:
        return seen
    if not _places.take(merchant_id):
        _NO_PLACE.inc()
        return seen
    try:
        seen = _look_until(time.monotonic() + seconds, look, is_decided)
    finally:
        _places.give_back(merchant_id)
    (_DECIDED if is_decided(seen) else _UNDECIDED).inc()
    return seen


def _look_until(
    deadline: float, look: Callable[[], Seen], is_decided: Callable[[Seen], bool]
) -> Seen:
    while True:
        time.sleep(_LOOK_EVERY_SECONDS)
        seen = look()
        if is_decided(seen) or time.monotonic() >= deadline:
            return seen
