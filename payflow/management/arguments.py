"""What the verbs of `manage.py events` take."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from shared.management.accounting import add_accounting, limit


def _listing(parser: ArgumentParser) -> None:
    parser.add_argument("--parked", action="store_true", help="the rows that wait for somebody")
    parser.add_argument("--listener", default="", help="the rows of one listener")
    parser.add_argument("--intent", default="", help="the rows of one kind of outside work")
    parser.add_argument("--story", type=UUID, help="the rows of one correlation id")
    parser.add_argument("--limit", type=limit, default=50, help="how many rows at most (50)")
    parser.add_argument("--json", action="store_true")


def _showing(parser: ArgumentParser) -> None:
    about = "a publication's, an event's, or one of outside work: a message's, an operation's"
    parser.add_argument("id", type=_number_or_uuid, help=about)
    parser.add_argument("--json", action="store_true")


def _retrying(parser: ArgumentParser) -> None:
    about = "publications by number, messages and operations by UUID"
    parser.add_argument("ids", nargs="*", type=_number_or_uuid, metavar="ID", help=about)
    parser.add_argument("--listener", default="", help="all that are parked for it")
    parser.add_argument("--intent", default="", help="such as notifications.message: all of it")
    parser.add_argument("--all", action="store_true", help="all that are parked or failed")
    add_accounting(parser)


def _skipping(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", type=_number, metavar="ID", help="publications")
    add_accounting(parser)


def _replaying(parser: ArgumentParser) -> None:
    parser.add_argument("--listener", required=True)
    parser.add_argument("--story", type=UUID, help="events of one correlation id")
    parser.add_argument(
        "--from", dest="first", type=_number, metavar="N", help="from this sequence"
    )
    parser.add_argument("--to", dest="last", type=_number, metavar="N", help="to this sequence")
    parser.add_argument("--since", type=_instant, metavar="T", help="published at T or later")
    parser.add_argument("--until", type=_instant, metavar="T", help="published before T")
    add_accounting(parser)


def _rebuilding(parser: ArgumentParser) -> None:
    parser.add_argument("--into", required=True, metavar="URL", help="of an empty database")


def _number_or_uuid(text: str) -> int | UUID:
    if text.isdecimal():
        return _number(text)
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError("a publication's number or a UUID") from None


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise ArgumentTypeError(f"{text[:40]!r} is not a number of a row")
    return int(text)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("an instant such as 2026-01-31T14:00Z") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


VERBS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "list": ("What is outstanding, per listener and intent; or its rows.", _listing),
    "show": (
        "A publication, an event or a piece of outside work, with all that is known of it.",
        _showing,
    ),
    "retry": ("Make parked work due again, its failures forgotten.", _retrying),
    "skip": ("Give parked publications up: their listener never sees the event.", _skipping),
    "replay": ("Give a listener retained events again; what it did stays as it is.", _replaying),
    "rebuild": ("Rebuild ledger and trail in an empty database, and compare.", _rebuilding),
}
"""Verb → what it does, what adds its arguments."""
