"""Posting what moved a payment's money, for a batch."""

from collections.abc import Sequence
from datetime import datetime

from ledger.domain.posting_rules import MovementOfMoney, drafts_of
from ledger.use_cases.post_entries import post_entries


def post_movements(*, events: Sequence[MovementOfMoney], now: datetime) -> None:
    """
    Book holds, captures, releases and refunds; publishes Ledger.Entry.Posted per entry.

    Each account is written once for the whole batch. An event posted before is left alone.

    Raises:
        IntegrityError: more is taken from a hold than it holds, or it is released twice; nothing
            of the batch is posted.

    """
    post_entries(drafts=[draft for event in events for draft in drafts_of(event)], now=now)
