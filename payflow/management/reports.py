"""How `manage.py events` shows what it found."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from payflow.rebuild.comparison import Verdict
from shared.event_bus.inspection import Piece, Told, Waiting
from shared.event_bus.standing import Backlog
from shared.management.tables import age, instant, last_line, table

_ERROR_WIDTH = 90
_COMPARED = ("postings", "records")


def backlogs(found: Sequence[Backlog], now: datetime) -> Iterator[str]:
    """A line per listener and intent that has anything outstanding."""
    rows = [
        (
            one.name,
            one.outstanding,
            one.outstanding - one.overdue - one.parked - (one.blocked or 0),
            one.overdue,
            one.blocked or 0,
            one.parked,
            age(one.oldest_at, now),
        )
        for one in found
        if one.outstanding
    ]
    if not rows:
        yield "Nothing is outstanding."
        return
    header = ("for", "outstanding", "pending", "overdue", "blocked", "parked", "oldest")
    yield from table(header, rows)


def pieces(found: Sequence[Piece], now: datetime) -> Iterator[str]:
    """A line per outstanding row."""
    if not found:
        yield "None."
        return
    header = ("id", "for", "about", "story", "state", "tries", "failed", "age", "last error")
    yield from table(header, [_row(one, now) for one in found])


def told(found: Told, now: datetime) -> Iterator[str]:
    """An event, and each publication with its whole traceback."""
    event = found.event
    yield f"event {event.event_id}  #{event.sequence}  {event.event_type}.v{event.version}"
    yield f"published {instant(event.published_at)}  story {event.correlation_id}"
    yield json.dumps(found.envelope, indent=2, ensure_ascii=False)
    if not found.waiting:
        yield "Every listener is done with it."
    for one in found.waiting:
        yield ""
        yield from _waiting(one)


def piece(found: Piece) -> Iterator[str]:
    """A row of outside work, with its whole traceback."""
    yield f"{found.kind} {found.id}  {found.state}"
    yield f"{found.about}  story {found.story}"
    yield from _tries(found)
    if found.last_error:
        yield ""
        yield found.last_error.rstrip()


def verdict(found: Verdict) -> Iterator[str]:
    """What was compared, and every difference that was kept."""
    counts = found.counts
    rows = [(what, counts[f"{what}, running"], counts[f"{what}, rebuilt"]) for what in _COMPARED]
    yield ""
    yield from table(("compared", "running", "rebuilt"), rows)
    yield ""
    rest = [n for n in counts if n != "differences" and not n.startswith(_COMPARED)]
    yield from table(("besides", ""), [(name, counts[name]) for name in rest])
    yield ""
    yield f"{counts['differences'] or 'no'} differences"
    yield from map(str, found.differences)
    if left_out := counts["differences"] - len(found.differences):
        yield f"… and {left_out} more"


def _row(one: Piece, now: datetime) -> tuple[object, ...]:
    return (
        one.id,
        one.kind,
        one.about,
        one.story,
        one.state,
        one.attempts,
        one.failures,
        age(one.created_at, now),
        last_line(one.last_error)[:_ERROR_WIDTH],
    )


def _waiting(one: Waiting) -> Iterator[str]:
    row = one.piece
    yield f"publication {row.id}  for {row.kind}  {row.state}"
    yield from _tries(row)
    yield f"  {one.behind_it_count} of its story wait behind it"
    for later in one.behind_it:
        yield f"    {later}"
    if row.last_error:
        yield ""
        yield row.last_error.rstrip()


def _tries(found: Piece) -> Iterator[str]:
    yield f"  claimed {found.attempts} times, failed {found.failures} times"
    yield f"  next due {instant(found.due_at)}, parked since {instant(found.parked_at)}"
