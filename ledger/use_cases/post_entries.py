"""Posting entries and telling of them."""

from collections.abc import Sequence
from datetime import datetime

from ledger.domain.posting_rules import Draft
from ledger.models import JournalEntry
from shared import clock, db
from shared.event_bus import publish
from shared.events.ledger import LedgerEntryPosted


def post_entries(*, drafts: Sequence[Draft], now: datetime) -> list[JournalEntry]:
    """
    Post an entry per draft and publish Ledger.Entry.Posted for each; returns the new entries.

    Each account is written once for all of them. What was posted before is left alone.

    Raises:
        IntegrityError: see `JournalEntryQuerySet.post`.

    """
    with db.transaction():
        entries = JournalEntry.objects.post(drafts, now=now)
        publish(*(_posted(entry, now) for entry in entries))
    return entries


def _posted(entry: JournalEntry, now: datetime) -> LedgerEntryPosted:
    return LedgerEntryPosted(
        correlation_id=str(entry.correlation_id),
        subject_id=str(entry.pk),
        merchant_id=str(entry.merchant_id) if entry.merchant_id else None,
        occurred_at=clock.iso(now),
        entry_id=str(entry.pk),
        entry_type=entry.entry_type,
        amount_minor=entry.amount_minor,
        currency=entry.currency,
    )
