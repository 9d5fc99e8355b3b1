"""
What is kept of log-ins: in the audit trail, in the log and as a count.

The trail is for ever, so strangers must not be able to fill it: per action and person it takes a
burst and then a few an hour, and everybody who is nobody here counts as one. What it does not take,
the log has and the metric counts. A name that nobody has is kept nowhere: it may be a password.
"""

from enum import StrEnum

import structlog
from django.contrib.auth.models import User
from rest_framework.exceptions import Throttled

from shared import clock, db, metrics
from shared.event_bus.operating import tell
from shared.http.throttling import RateLimit

log = structlog.get_logger(__name__)

NOBODY = "a stranger"
_LIMIT = RateLimit("operator-trail", capacity=20, refill_per_second=1 / 300)


class Outcome(StrEnum):
    """What became of a try to log in, and what else is done at that door."""

    SUCCEEDED = "operator.log_in"
    FAILED = "operator.log_in.fail"
    LOCKED_OUT = "operator.log_in.lock_out"
    LOGGED_OUT = "operator.log_out"
    PASSWORD_CHANGED = "operator.password.change"  # noqa: S105 - no password
    PASSWORD_REFUSED = "operator.password.refuse"  # noqa: S105 - no password


_REASONS = {
    Outcome.SUCCEEDED: "name and password were right",
    Outcome.FAILED: "name or password was wrong",
    Outcome.LOCKED_OUT: "too many tries",
    Outcome.LOGGED_OUT: "asked to",
    Outcome.PASSWORD_CHANGED: "knew the old password",
    Outcome.PASSWORD_REFUSED: "did not know the old password",
}
_HAPPENED = metrics.counter("payflow_operator_log_ins", "What operators' log-ins became", ["what"])
for _outcome in Outcome:
    _HAPPENED.labels(_outcome)  # so that a rate can be told from the first one on


def note(outcome: Outcome, *, username: str, address: str) -> None:
    """Keep that a person, known by the name they have here, came through or to the door."""
    is_theirs = outcome not in (Outcome.FAILED, Outcome.LOCKED_OUT)
    _HAPPENED.labels(outcome).inc()
    log.info("operators' door", what=outcome.value, username=username or "unknown", address=address)
    if not _is_room_for(outcome, username):
        return
    with db.transaction():
        tell(
            actor=username if is_theirs else NOBODY,
            action=outcome,
            subject=f"{username or 'an unknown name'} from {address or 'an unknown address'}",
            reason=_REASONS[outcome],
            now=clock.now(),
        )


def note_typed(outcome: Outcome, *, typed: str, address: str) -> None:
    """The same about a name as it was typed: kept only if somebody has it."""
    found = User.objects.filter(username__iexact=typed).values_list("username", flat=True)
    note(outcome, username=found.first() or "", address=address)


def _is_room_for(outcome: Outcome, username: str) -> bool:
    try:
        _LIMIT.take(f"{outcome}:{username}")
    except Throttled:
        return False
    return True
