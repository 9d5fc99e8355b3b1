"""
Passwords are hashed one at a time in each process, and politely.

Hashing is made to be expensive. Eight requests that hash at once take all processors from the API,
whoever sends them; so a second one waits a moment, and a third one is told to come again. Who has
been here before does not wait behind strangers: they have places of their own.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from shared.errors import Unavailable

PATIENCE_SECONDS = 3.0
"""How long the one that waits does so."""
_NICENESS = 10
_for_strangers, _for_known = threading.BoundedSemaphore(2), threading.BoundedSemaphore(2)
"""One hashes and one waits: no more threads of a web process are held up by passwords."""
_is_known = ContextVar("is_known", default=False)
_turn = threading.Lock()


class OneAtATime(PBKDF2PasswordHasher):
    """
    Django's hasher, bounded: every way to hash or to check a password goes through `encode`.

    Raises `Unavailable` when others are hashing and waiting already.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Hash, when it is our turn. Raises: Unavailable."""
        return in_turn(lambda: super(OneAtATime, self).encode(password, salt, iterations))


@contextmanager
def known(*, is_so: bool = True) -> Iterator[None]:
    """Within this, passwords belong to somebody who has been here before."""
    token = _is_known.set(is_so)
    try:
        yield
    finally:
        _is_known.reset(token)


def in_turn(work: Callable[[], str]) -> str:
    """Do it alone. Raises: Unavailable, without having begun."""
    places = _for_known if _is_known.get() else _for_strangers
    if not places.acquire(blocking=False):
        raise _busy()
    try:
        if not _turn.acquire(timeout=PATIENCE_SECONDS):
            raise _busy()
        try:
            return _politely(work)
        finally:
            _turn.release()
    finally:
        places.release()


def _busy() -> Unavailable:
    return Unavailable("Other passwords are being checked at this moment; please try again.")


def _politely(work: Callable[[], str]) -> str:
    # In a thread of its own: on Linux a thread can be nicer than its process, and never less again.
    done: Future[str] = Future()
    threading.Thread(target=_run, args=(work, done), name="password", daemon=True).start()
    return done.result()


def _run(work: Callable[[], str], done: Future[str]) -> None:
    try:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        done.set_exception(error)
