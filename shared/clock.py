"""
The system clock, read in one place.

Time is a parameter: only doors (views, listeners, tasks, admin, commands) call `now()` and pass
the instant down, so that a test or a replay can choose it. Adapters may, too: how old something is
that the outside world has signed, is between this machine and theirs.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, in UTC."""
    return datetime.now(UTC)


def iso(instant: datetime) -> str:
    """An instant as ISO 8601 with microseconds and `Z`: the one form on the wire and in events."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """The instant that `iso` wrote."""
    return datetime.fromisoformat(text)
