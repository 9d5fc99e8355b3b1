"""
The operators' admin site and its front page, which says how things stand.

What the page shows is read from one module after the other and put together here.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timesince import timesince, timeuntil

from fraud.queries import count_awaiting_reviews, list_kinds_switched_off
from ledger.queries import trial_balance
from notifications.queries import messages_backlog
from payflow.operators.site import GuardedAdminSite
from payments.queries import (
    Waiting,
    circuits_not_closed,
    count_by_status,
    holds_ending,
    operations_backlog,
    operations_in_doubt,
    resolutions_waiting,
)
from shared import clock
from shared.event_bus.standing import Backlog, backlog_by_listener, last_runs
from shared.money import format_amount

log = structlog.get_logger(__name__)

Read = TypeVar("Read")

PATIENCE_MS = 3000
"""A figure that takes longer is left out: this page must open when nothing else does."""
DOUBT_PATIENCE = timedelta(minutes=10)
"""A processor that has not told by then is asked once an hour only: people should look."""
HOLDS_END_SOON = timedelta(days=1)


class PayflowAdminSite(GuardedAdminSite):
    """Django's admin under our name, with a front page of its own."""

    site_header = "PayFlow"
    site_title = "PayFlow"
    index_title = "How things stand"
    site_url = None
    # Lists of ids, amounts and times need the width; the front page names every list.
    enable_nav_sidebar = False

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The front page: figures, each linked to its rows, then the list of all there is."""
        standing = Standing.read(clock.now(), request.user.has_perm)
        return super().index(request, {"standing": standing, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The modules in the order in which a payment meets them, then the machinery."""
        order = [*settings.MODULES, "shared", "auth"]
        apps = super().get_app_list(request, app_label)
        known = {label: place for place, label in enumerate(order)}
        return sorted(apps, key=lambda app: known.get(app["app_label"], len(order)))

    def story_address(self, correlation_id: object) -> str:
        """Where a story's events are listed."""
        return _rows("audit_record", q=str(correlation_id))


@dataclass(frozen=True)
class Figure:
    """A number and the rows it counts."""

    count: int
    address: str
    is_trouble: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a table: what it is about, its figures, and when."""

    name: str
    figures: tuple[Figure, ...]
    since: datetime | None = None
    when: str = ""


@dataclass(frozen=True)
class Sum:
    """What the books of a currency come to."""

    currency: str
    difference: str
    is_balanced: bool


Lines = Sequence[Line] | None
"""None: it could not be read in time."""
May = Callable[[str], bool]
"""Whether the person has a right, such as `payments.view_payment`."""


@dataclass(frozen=True)
class Standing:
    """
    Everything the front page says to one person.

    What is counted is told to whoever may look at the rows; of the rest nothing is read, and the
    page leaves it out.
    """

    now: datetime
    payments: Lines = ()
    reviews: Figure | None = Figure(0, "")
    rules_off: Sequence[str] | None = ()
    doubts: Lines = ()
    publications: Lines = ()
    outside_work: Lines = ()
    books: Sequence[Sum] | None = ()
    jobs: Sequence[Any] | None = ()
    shown: frozenset[str] = frozenset()
    is_whole: bool = False
    """Whether the person sees all there is, so that "all is well" can be said."""

    @classmethod
    def read(cls, now: datetime, may: May = lambda _: True) -> "Standing":
        """Look everywhere where this person may, one module at a time."""
        parts: dict[str, tuple[Collection[str], Callable[[], Any]]] = {
            "payments": ([_PAYMENT], lambda: _payments(now)),
            "reviews": (["fraud.view_assessment"], _reviews),
            "rules_off": (["fraud.view_rule"], list_kinds_switched_off),
            "doubts": (_DOUBT_RIGHTS.values(), lambda: _doubts(now, may)),
            "publications": (["shared.view_publication"], lambda: _publications(now)),
            "outside_work": (_WORK_RIGHTS, lambda: _outside_work(now, may)),
            "books": (["ledger.view_account"], _books),
            "jobs": (["shared.view_scheduledrun"], lambda: last_runs(now)),
        }
        shown = {name: read for name, (rights, read) in parts.items() if any(map(may, rights))}
        found = {name: _in_time(read) for name, read in shown.items()}
        is_whole = all(may(right) for rights, _ in parts.values() for right in rights)
        return cls(now=now, shown=frozenset(shown), is_whole=is_whole, **found)

    @property
    def alerts(self) -> list[str]:
        """What is wrong, in sentences; empty when nothing is."""
        work = [*(self.publications or ()), *(self.outside_work or ())]
        concerns = {
            "The ledger does not balance.": any(not s.is_balanced for s in self.books or ()),
            "Work is parked or overdue.": any(f.is_trouble for line in work for f in line.figures),
            **{text: _is_in_trouble(self.doubts, name) for name, text in _ALERTS.items()},
            "A scheduled job is late.": any(job.is_late for job in self.jobs or ()),
            "Some figures could not be read in time.": None in vars(self).values(),
        }
        return [text for text, is_so in concerns.items() if is_so]

    @property
    def requests(self) -> list[str]:
        """What waits for a person although nothing is wrong, as parts of a sentence."""
        asked = {line.name: line.figures[0].count for line in self.doubts or ()}
        waiting = {
            "payments wait for a review": self.reviews and self.reviews.count,
            "resolutions wait for a second person": asked.get(_RESOLUTIONS),
        }
        return [text for text, count in waiting.items() if count]


_DOUBTS, _RESOLUTIONS = "Operations in doubt", "Resolutions to confirm"
_CIRCUITS, _HOLDS = "Circuits not closed", "Holds ending in 24 hours"
_PAYMENT, _OPERATION = "payments.view_payment", "payments.view_operation"
_DOUBT_RIGHTS = {
    _DOUBTS: _OPERATION,
    _RESOLUTIONS: "payments.view_resolution",
    _CIRCUITS: "payments.view_circuitbreaker",
    _HOLDS: _PAYMENT,
}
_MESSAGE = "notifications.view_message"
_WORK_RIGHTS = (_OPERATION, _MESSAGE)
_ALERTS = {
    _DOUBTS: "A processor has not told for more than ten minutes what became of an operation.",
    _CIRCUITS: "A processor does not answer: its circuit is open.",
}


def _payments(now: datetime) -> list[Line]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    # The parameters of the list's own filter for today, so that it shows as chosen there.
    today = {"created_at__gte": midnight, "created_at__lt": midnight + timedelta(days=1)}
    return [
        Line(
            count.status,
            (
                Figure(
                    count.recent, _rows("payments_payment", status__exact=count.status, **today)
                ),
                Figure(count.total, _rows("payments_payment", status__exact=count.status)),
            ),
        )
        for count in count_by_status(since=midnight)
    ]


def _reviews() -> Figure:
    return Figure(count_awaiting_reviews(), _rows("fraud_assessment", review="awaited"))


def _doubts(now: datetime, may: May) -> list[Line]:
    of_each = {
        _DOUBTS: _operations_in_doubt,
        _RESOLUTIONS: _resolutions_to_confirm,
        _CIRCUITS: _circuits_not_closed,
        _HOLDS: _holds_ending,
    }
    return [line(now) for name, line in of_each.items() if may(_DOUBT_RIGHTS[name])]


def _operations_in_doubt(now: datetime) -> Line:
    rows = operations_in_doubt()
    is_old = rows.first_at is not None and rows.first_at < now - DOUBT_PATIENCE
    address = _rows("payments_operation", doubt="in_doubt")
    return _waiting(_DOUBTS, rows, address, now, is_trouble=is_old)


def _resolutions_to_confirm(now: datetime) -> Line:
    address = _rows("payments_resolution", state="OPEN")
    return _waiting(_RESOLUTIONS, resolutions_waiting(), address, now)


def _circuits_not_closed(now: datetime) -> Line:
    rows, address = circuits_not_closed(), _rows("payments_circuitbreaker", state="not_closed")
    return _waiting(_CIRCUITS, rows, address, now, is_trouble=rows.count > 0)


def _holds_ending(now: datetime) -> Line:
    rows = holds_ending(before=now + HOLDS_END_SOON)
    return _waiting(_HOLDS, rows, _rows("payments_payment", hold="ends_soon"), now)


def _waiting(
    name: str, rows: Waiting, address: str, now: datetime, *, is_trouble: bool = False
) -> Line:
    return Line(name, (Figure(rows.count, address, is_trouble),), when=_when(rows, now))


def _when(rows: Waiting, now: datetime) -> str:
    if rows.first_at is None:
        return ""
    if rows.first_at > now:
        return f"in {timeuntil(rows.first_at, now, depth=1)}"
    return f"{timesince(rows.first_at, now, depth=1)} ago"


def _is_in_trouble(lines: Lines, name: str) -> bool:
    return any(line.name == name and line.figures[0].is_trouble for line in lines or ())


def _publications(now: datetime) -> list[Line]:
    return [
        _work(backlog, "shared_publication", listener_id=backlog.name)
        for backlog in backlog_by_listener(now)
    ]


def _outside_work(now: datetime, may: May) -> list[Line]:
    operations = [_work(operations_backlog(now), "payments_operation")] if may(_OPERATION) else []
    messages = [_work(messages_backlog(now), "notifications_message")] if may(_MESSAGE) else []
    return operations + messages


def _work(backlog: Backlog, model: str, **chosen: object) -> Line:
    counts = {
        "outstanding": backlog.outstanding,
        "blocked": backlog.blocked,
        "overdue": backlog.overdue,
        "parked": backlog.parked,
    }
    figures = {
        state: Figure(count, _rows(model, state=state, **chosen), _is_trouble(state, count))
        for state, count in counts.items()
        if count is not None
    }
    return Line(backlog.name, tuple(figures.values()), since=backlog.oldest_at)


def _is_trouble(state: str, count: int) -> bool:
    return state in ("overdue", "parked") and count > 0


def _books() -> list[Sum]:
    return [
        Sum(
            total.currency,
            format_amount(total.difference_minor, total.currency),
            is_balanced=total.difference_minor == 0,
        )
        for total in trial_balance()
    ]


def _rows(model: str, **chosen: object) -> str:
    address = reverse(f"admin:{model}_changelist")
    return f"{address}?{urlencode(chosen)}" if chosen else address


def _in_time(read: Callable[[], Read]) -> Read | None:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
            return read()
    except DatabaseError as error:
        log.warning("a figure could not be read", reason=str(error).strip())
        return None
