"""
Waiting for a decision inside a request (`Prefer: wait=N`), without holding a transaction.

At most half of a process's threads wait; the others stay free to accept. Beyond that a request is
answered as undecided at once.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from rest_framework.request import Request

Seen = TypeVar("Seen")

_LOOK_EVERY_SECONDS = 0.02
_MAX_WAIT_SECONDS = 30
# One preference among several, as RFC 7240 writes them; beyond nine digits it is not a duration.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[;,]|$)', re.ASCII | re.IGNORECASE)
_places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


def preferred_wait_seconds(request: Request, *, default: int = 0) -> int:
    """The N of `Prefer: wait=N` within 1…30, or the default when the header asks for nothing."""
    match = _WAIT.search(request.META.get("HTTP_PREFER", ""))
    if match is None:
        return default
    return min(int(match[1]), _MAX_WAIT_SECONDS)


def wait_for(look: Callable[[], Seen], is_decided: Callable[[Seen], bool], seconds: int) -> Seen:
    """
    Look every 20 ms until it is decided or the time is over; returns what was seen last.

    Looks once and returns when half of this process's threads are waiting already.
    """
    seen = look()
    if is_decided(seen) or seconds <= 0 or not _places.acquire(blocking=False):
        return seen
    try:
        deadline = time.monotonic() + seconds
        while not is_decided(seen) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_SECONDS)
            seen = look()
        return seen
    finally:
        _places.release()
