"""Posting the holds of authorised payments, for a batch."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ledger.domain.posting_rules import EntryType, authorisation_lines
from ledger.models import Draft, JournalEntry
from shared import clock, db
from shared.event_bus import publish
from shared.events.ledger import LedgerEntryPosted
from shared.events.payments import PaymentTransactionAuthorised


def post_authorisations(
    *, authorised: Sequence[PaymentTransactionAuthorised], now: datetime
) -> None:
    """
    Post an AUTH entry per authorised payment and publish Ledger.Entry.Posted for each.

    Each account is written once for the whole batch. An event posted before is left alone.
    """
    with db.transaction():
        entries = JournalEntry.objects.post([_draft(event) for event in authorised], now=now)
        publish(*(posted(entry, now) for entry in entries))


def _draft(event: PaymentTransactionAuthorised) -> Draft:
    return Draft(
        event_id=UUID(event.event_id),
        entry_type=EntryType.AUTH,
        correlation_id=UUID(event.correlation_id),
        merchant_id=UUID(event.merchant_id),
        amount_minor=event.amount_minor,
        currency=event.currency,
        lines=authorisation_lines(
            merchant_id=event.merchant_id or "",
            processor=event.processor,
            amount_minor=event.amount_minor,
            currency=event.currency,
        ),
    )


def posted(entry: JournalEntry, now: datetime) -> LedgerEntryPosted:
    """The event that tells of an entry."""
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
