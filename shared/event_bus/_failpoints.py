"""
Named points in the bus where a test makes something go wrong: the proof that no line is special.

`PAYFLOW_FAILPOINTS=finish.effect=kill@3;record.done=stall:5` arms two of them in every process that
reads it; production refuses to start with it. `@n` is the n-th time the point is passed (the first
unless said); each goes off once per process.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

log = structlog.get_logger(__name__)


class Failpoint(StrEnum):
    """Where it can go wrong, in the order in which they are passed."""

    PUBLISH_WRITTEN = "publish.written"
    """Event and publications are written, nothing is committed."""
    PUBLISH_COMMITTED = "publish.committed"
    """Committed, and nobody was woken yet."""
    DELIVER_CLAIMED = "deliver.claimed"
    """Publications are claimed; the listener has not begun."""
    FINISH_REMOVED = "finish.removed"
    """In the listener's transaction: publications are deleted, the effect is not there."""
    FINISH_EFFECT = "finish.effect"
    """In the listener's transaction: the effect is written, nothing is committed."""
    FINISH_COMMITTED = "finish.committed"
    """The effect is committed."""
    FAILURE_COUNTED = "failure.counted"
    """In the transaction that counts a failure, before its commit."""
    PERFORM_CLAIMED = "perform.claimed"
    """Rows of outside work are claimed, none has begun."""
    PERFORM_DONE = "perform.done"
    """The outside work was done, and nobody knows it here."""
    RECORD_MARKED = "record.marked"
    """In the recording transaction: rows are marked as done, outcomes are not recorded."""
    RECORD_DONE = "record.done"
    """In the recording transaction: outcomes are recorded, nothing is committed."""
    RECORD_COMMITTED = "record.committed"
    """Outcomes are committed."""


class Action(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    """kill -9 of this process."""
    RAISE = "raise"
    """An exception."""
    STALL = "stall"
    """Nothing happens for so many seconds (2 unless said): a slow disk, a suspended host."""
    CUT = "cut"
    """The connection to the database breaks."""


class FailpointRaised(Exception):
    """A failpoint that was armed with `raise` was passed."""


@dataclass
class _Armed:
    action: Action
    seconds: float
    passes_left: int


def hit(point: Failpoint) -> None:
    """Pass a point; does nothing unless it was armed."""
    if _armed and (armed := _due(point)):
        log.warning("failpoint passed", point=point.value, action=armed.action.value)
        _DO[armed.action](armed)


@contextmanager
def armed(text: str) -> Iterator[None]:
    """Arm points in this process while a block runs."""
    before = dict(_armed)
    _armed.update(_parsed(text))
    try:
        yield
    finally:
        _armed.clear()
        _armed.update(before)


def _due(point: Failpoint) -> _Armed | None:
    with _lock:
        entry = _armed.get(point)
        if entry is None:
            return None
        entry.passes_left -= 1
        return entry if entry.passes_left == 0 else None


def _parsed(text: str) -> dict[Failpoint, _Armed]:
    return dict(_one(entry.strip()) for entry in text.split(";") if entry.strip())


def _one(entry: str) -> tuple[Failpoint, _Armed]:
    name, _, what = entry.partition("=")
    what, _, passes = what.partition("@")
    action, _, seconds = what.partition(":")
    try:
        return Failpoint(name), _Armed(Action(action), float(seconds or 2), int(passes or 1))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"PAYFLOW_FAILPOINTS cannot be read at {entry!r}: {error}. A point is armed as"
            f" point=action, point=stall:seconds or point=action@times; the points are"
            f" {', '.join(Failpoint)}, the actions {', '.join(Action)}."
        ) from None


def _kill(_: _Armed) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(_: _Armed) -> None:
    raise FailpointRaised


def _stall(entry: _Armed) -> None:
    time.sleep(entry.seconds)


def _cut(_: _Armed) -> None:
    if connection.connection is not None:
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


_DO = {Action.KILL: _kill, Action.RAISE: _raise, Action.STALL: _stall, Action.CUT: _cut}
_lock = threading.Lock()
_armed: dict[Failpoint, _Armed] = _parsed(settings.FAILPOINTS)
