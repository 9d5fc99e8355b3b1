"""
How the traces of a story in two databases differ.

What cannot be compared is counted and no difference: what a listener has not been given yet, what
was booked for events that are not retained any more, what people booked.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ledger.queries import Booked
from payflow.rebuild import LISTENERS
from payflow.rebuild.traces import Told, Trace

LEDGER, TRAIL = LISTENERS
Undelivered = Collection[tuple[str, str]]
"""(listener, event id) of publications that are outstanding in the running database."""


@dataclass(frozen=True)
class Difference:
    """Something that is in one of the two only, or in another order."""

    what: str
    """`ledger`, `trail`, `altered` or `order`."""
    found_in: str
    """`running` or `rebuilt`."""
    story: UUID
    detail: str

    def __str__(self) -> str:
        """In one line."""
        return f"{self.what:<7} only in {self.found_in}  story {self.story}  {self.detail}"


@dataclass
class Verdict:
    """What was compared, and what differs; only the first differences are kept."""

    differences_kept: int = 100
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def note(self, differences: Sequence[Difference]) -> None:
        """Count differences, and keep the first ones."""
        self.counts["differences"] += len(differences)
        free = self.differences_kept - len(self.differences)
        self.differences += differences[:free]

    def count_older(self, entries: Sequence[Booked]) -> None:
        """Count entries of one story whose events are not retained any more."""
        self.counts["entries from before the retained events"] += len(entries)
        self.counts["stories that began before them, not rebuilt"] += bool(entries)

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not self.counts["differences"]


def causeless_entry(entry: Booked) -> Difference:
    """The difference that an entry is, whose event should be retained and is not."""
    detail = f"event {entry.event_id}  {entry.entry_type}: there is no such event"
    return Difference("ledger", "running", entry.story, detail)


def compare(
    running: Trace,
    rebuilt: Trace,
    verdict: Verdict,
    *,
    undelivered: Undelivered = (),
    without_ledger: bool = False,
) -> None:
    """Add one story to the verdict; `without_ledger` if its books cannot be rebuilt."""
    events = [event_id for event_id, _ in rebuilt.events]
    verdict.counts["stories"] += 1
    verdict.counts["events"] += len(events)
    verdict.counts["not delivered yet"] += sum(event_id in events for _, event_id in undelivered)
    people = [entry for entry in running.entries if not entry.is_of_a_payment_event]
    verdict.counts["entries not from payment events"] += len(people)
    if not without_ledger:
        told = {event_id for event_id in events if (LEDGER, event_id) not in undelivered}
        verdict.note(list(_ledger(running, rebuilt, told, verdict.counts)))
    told = {event_id for event_id in events if (TRAIL, event_id) not in undelivered}
    verdict.note(list(_trail(running, rebuilt, told, verdict.counts)))


def _ledger(
    running: Trace, rebuilt: Trace, told: Collection[str], counts: Counter[str]
) -> Iterator[Difference]:
    ours = Counter(posting for posting in running.postings if posting[0] in told)
    theirs = Counter(posting for posting in rebuilt.postings if posting[0] in told)
    counts["postings, running"] += ours.total()
    counts["postings, rebuilt"] += theirs.total()
    for name, extra in (("running", ours - theirs), ("rebuilt", theirs - ours)):
        for event_id, entry_type, account, amount_minor in extra.elements():
            side = "debit" if amount_minor > 0 else "credit"
            detail = f"event {event_id}  {entry_type} {side} {account} {abs(amount_minor)}"
            yield Difference("ledger", name, running.story, detail)


def _trail(
    running: Trace, rebuilt: Trace, told: Collection[str], counts: Counter[str]
) -> Iterator[Difference]:
    ours = [record for record in running.records if record[0] in told]
    theirs = [record for record in rebuilt.records if record[0] in told]
    counts["records, running"] += len(ours)
    counts["records, rebuilt"] += len(theirs)
    here, there = _named(ours), _named(theirs)
    for name, extra in (
        ("running", Counter(here) - Counter(there)),
        ("rebuilt", Counter(there) - Counter(here)),
    ):
        for event_id, event_type in extra.elements():
            yield Difference("trail", name, running.story, f"event {event_id}  {event_type}")
    yield from _altered(running.story, ours, theirs)
    in_both = set(here) & set(there)
    for publisher, order in _orders(here, in_both).items():
        if order != _orders(there, in_both)[publisher]:
            detail = f"events of {publisher}: {', '.join(order)}"
            yield Difference("order", "running", running.story, detail)


def _named(records: Sequence[Told]) -> list[tuple[str, str]]:
    return [(event_id, event_type) for event_id, event_type, _ in records]


def _altered(story: UUID, ours: Sequence[Told], theirs: Sequence[Told]) -> Iterator[Difference]:
    """Records of one event that say another thing; its members are named, not what they hold."""
    rebuilt = {(event_id, event_type): said for event_id, event_type, said in theirs}
    for event_id, event_type, said in ours:
        expected = rebuilt.get((event_id, event_type), said)
        if said != expected:
            members = ", ".join(_members_that_differ(json.loads(said), json.loads(expected)))
            detail = f"event {event_id}  {event_type}: {members}"
            yield Difference("altered", "running", story, detail)


def _members_that_differ(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            inner = f"{path}.{name}".lstrip(".")
            yield from _members_that_differ(one.get(name, _ABSENT), other.get(name, _ABSENT), inner)
    elif one != other or type(one) is not type(other):
        yield path


_ABSENT = object()


def _orders(
    records: Sequence[tuple[str, str]], chosen: Collection[tuple[str, str]]
) -> dict[str, list[str]]:
    # Events of different publishers in one story are ordered by cause only.
    orders = defaultdict(list)
    for event_id, event_type in records:
        if (event_id, event_type) in chosen:
            orders[event_type.partition(".")[0]].append(event_id)
    return orders
