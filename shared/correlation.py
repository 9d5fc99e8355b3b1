"""The correlation id of the story being worked on, carried into every log line."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def current() -> str:
    """The correlation id in force, or an empty string outside any story."""
    return _current.get()


def adopt(correlation_id: str) -> None:
    """Go on under another correlation id: a request that turns out to belong to a story."""
    _current.set(correlation_id)


@contextmanager
def working_on(correlation_id: str) -> Iterator[None]:
    """Carry this correlation id until the block ends."""
    token = _current.set(correlation_id)
    try:
        yield
    finally:
        _current.reset(token)
