"""Waiting until a platform is at rest, and how long each kind of work took."""

import time
from typing import LiteralString

import psycopg

_PATIENCE_SECONDS = 400
_LOOK_EVERY_SECONDS = 0.1
# Work of each kind that is not done, without what was put aside for people.
_LEFT: dict[str, LiteralString] = {
    "publications": "SELECT count(*) FROM shared.publication WHERE parked_at IS NULL",
    "operations": """
        SELECT count(*) FROM payments.operation WHERE verdict = '' AND parked_at IS NULL""",
    "messages": "SELECT count(*) FROM notifications.message WHERE due_at IS NOT NULL",
}
_CUT_LEASES: tuple[LiteralString, ...] = (
    "UPDATE payments.operation SET due_at = now() WHERE due_at > now() AND verdict = ''",
    "UPDATE notifications.message SET due_at = now() WHERE due_at > now()",
)


def time_to_rest(database: str, *, since: float) -> dict[str, float]:
    """Seconds after `since` (a monotonic clock) at which none of a kind was left; waits for it."""
    drained: dict[str, float] = {}
    while len(drained) < len(_LEFT) and time.monotonic() < since + _PATIENCE_SECONDS:
        for name, left in _counts(database).items():
            if left:
                continue
            drained.setdefault(name, time.monotonic() - since)
        time.sleep(_LOOK_EVERY_SECONDS)
    late = time.monotonic() - since
    return {name: drained.get(name, late) for name in _LEFT}


def wait_until_all_is_done(database: str) -> None:
    """Wait until nothing of any kind is left at one moment: what ended last has told of itself."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        counts = _counts(database)
        if counts and not any(counts.values()):
            return
        time.sleep(_LOOK_EVERY_SECONDS)


def cut_leases(database: str) -> None:
    """Let leases of intents end now: for runs that cannot wait for five minutes."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in _CUT_LEASES:
            connection.execute(statement)


def _counts(database: str) -> dict[str, int]:
    """How much is left; nothing while the database cannot be asked."""
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            return {name: connection.execute(text).fetchone()[0] for name, text in _LEFT.items()}  # type: ignore[index]
    except psycopg.OperationalError:
        return {}
