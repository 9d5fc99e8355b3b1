"""Moments as people and programs read them."""

from datetime import UTC, datetime


def iso(at: float) -> str:
    """This will write a moment in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
