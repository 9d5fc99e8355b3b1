"""Asking every module for its part of a story."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.queries import Recorded, list_recorded_story
from ledger.models import JournalEntry
from ledger.queries import list_entries_of_story
from notifications.models import Message
from notifications.queries import list_messages_about
from payments.models import Operation, Payment
from payments.queries import find_payment_of_story, find_story_of_payment, list_operations
from shared.event_bus.tracing import Step, trace


class StoryNotFound(LookupError):
    """Nothing is known of a story or a payment of this id."""


@dataclass(frozen=True)
class Story:
    """
    What all modules know of one story.

    Without `steps`, the registry's events are purged and `records` is what the audit trail kept.
    """

    id: UUID
    payment: Payment | None
    steps: list[Step]
    records: list[Recorded]
    operations: list[Operation]
    messages: list[Message]
    entries: list[JournalEntry]

    @property
    def began_at(self) -> datetime:
        """When it began: with its first event."""
        if self.steps:
            return self.steps[0].event.published_at
        return self.records[0].occurred_at


def gather(story_or_payment_id: UUID, *, now: datetime) -> Story:
    """
    The story of a correlation id, or of a payment.

    Raises:
        StoryNotFound: no event, and no record of one, has that id.

    """
    story_id = find_story_of_payment(story_or_payment_id) or story_or_payment_id
    steps = trace(story_id, now=now)
    records = list_recorded_story(story_id)
    if not steps and not records:
        raise StoryNotFound
    subjects = {step.event.subject_id for step in steps} | {r.subject_id for r in records}
    payment = find_payment_of_story(story_id, among=subjects)
    event_ids = {step.event.event_id for step in steps} | {r.event_id for r in records}
    return Story(
        id=story_id,
        payment=payment,
        steps=steps,
        records=records,
        operations=list_operations(payment.pk) if payment else [],
        messages=list_messages_about(event_ids),
        entries=list_entries_of_story(story_id),
    )
