"""Tables for a terminal, and ages and instants in them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

NOTHING = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lines with columns as wide as needed, numbers to the right."""
    texts = [[NOTHING if cell in (None, "") else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(header))
    ]
    for line in [header, *texts]:
        cells = zip(line, widths, right, strict=True)
        yield "  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in cells).rstrip()


def instant(value: datetime | None) -> str:
    """To the second, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if value else NOTHING


def age(since: datetime | None, now: datetime) -> str:
    """Such as `3 s`, `12 min`, `5 h`, `40 d`."""
    if since is None:
        return NOTHING
    seconds = max(timedelta(), now - since).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def last_line(report: str) -> str:
    """The end of a traceback: what went wrong."""
    lines = report.strip().splitlines()
    return lines[-1].strip() if lines else ""
