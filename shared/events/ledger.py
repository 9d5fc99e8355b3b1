"""What `ledger` publishes."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class LedgerEntryPosted(DomainEvent):
    """
    Published when a balanced journal entry was posted; `subject_id` is the entry's id.

    `amount` is the amount moved, not the sum of the entry's debits.
    """

    event_type: ClassVar[str] = "Ledger.Entry.Posted"

    entry_id: str
    entry_type: str
    amount_minor: int
    currency: str
