"""Confirming a correction of the books that somebody else proposed."""

from datetime import datetime
from uuid import UUID

from ledger.models import JournalEntry
from ledger.queries import lock_adjustment
from ledger.use_cases.post_entries import post_entries
from shared import db
from shared.event_bus.operating import tell


def confirm_adjustment(
    *, adjustment_id: UUID, actor: str, reason: str, now: datetime
) -> JournalEntry:
    """
    Post an adjustment as a second person; returns the entry.

    Publishes Ledger.Entry.Posted and Operator.Action.Taken.

    Raises:
        AdjustmentNotFound: there is no such adjustment.
        TakesTwoPeople: whoever confirms has proposed it.
        AlreadyDecided: it was confirmed or rejected before.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        adjustment = lock_adjustment(adjustment_id)
        adjustment.confirm(by=actor, now=now)
        adjustment.keep_decision()
        (entry,) = post_entries(drafts=[adjustment.draft], now=now)
        tell(
            actor=actor,
            action="ledger.adjustment.confirm",
            subject=str(adjustment),
            reason=reason,
            now=now,
        )
    return entry
