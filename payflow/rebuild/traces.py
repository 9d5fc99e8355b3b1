"""What the events of a story left behind: entries of the ledger, records of the trail."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from audit.queries import list_recorded
from ledger.queries import Booked, list_booked
from shared.models import Event

Told = tuple[str, str, str]
"""Event, its type, and all else that its record says of it, as canonical JSON."""
Posting = tuple[str, str, str, int]
"""Event, entry type, account, amount in minor units: debits are positive, credits negative."""


@dataclass
class Trace:
    """A story: its events as far as they are retained, in order, and what they left behind."""

    story: UUID
    events: list[tuple[str, str]] = field(default_factory=list)
    """(event id, type)"""
    entries: list[Booked] = field(default_factory=list)
    records: list[Told] = field(default_factory=list)
    """In the order of recording."""

    @property
    def postings(self) -> list[Posting]:
        """What is booked for events of payments."""
        return [
            (str(entry.event_id), entry.entry_type, account, amount_minor)
            for entry in self.entries
            if entry.is_of_a_payment_event
            for account, amount_minor in entry.postings
        ]

    def as_line(self) -> str:
        """The trace for another process."""
        entries = [
            [str(e.event_id), e.entry_type, list(e.postings), e.created_at.isoformat()]
            for e in self.entries
        ]
        return json.dumps([str(self.story), self.events, entries, self.records])

    @classmethod
    def from_line(cls, line: str) -> "Trace":
        """The trace that `as_line` wrote."""
        story, events, entries, records = json.loads(line)
        return cls(
            UUID(story),
            [(event_id, event_type) for event_id, event_type in events],
            [_booked(UUID(story), *entry) for entry in entries],
            [(event_id, event_type, said) for event_id, event_type, said in records],
        )


def traces_of(stories: Sequence[UUID]) -> list[Trace]:
    """The traces of stories in this process's database, in the order given."""
    found = {story: Trace(story) for story in stories}
    events = Event.objects.filter(correlation_id__in=stories).order_by("sequence")
    for story, event_id, event_type in events.values_list(
        "correlation_id", "event_id", "event_type"
    ):
        found[story].events.append((str(event_id), event_type))
    for entry in list_booked(stories):
        found[entry.story].entries.append(entry)
    for record in list_recorded(stories):
        said = json.dumps(record.said, sort_keys=True)
        found[record.story].records.append((str(record.event_id), record.event_type, said))
    return list(found.values())


def _booked(
    story: UUID, event_id: str, entry_type: str, postings: list[Any], created_at: str
) -> Booked:
    return Booked(
        story=story,
        event_id=UUID(event_id),
        entry_type=entry_type,
        postings=tuple((account, amount_minor) for account, amount_minor in postings),
        created_at=datetime.fromisoformat(created_at),
    )
