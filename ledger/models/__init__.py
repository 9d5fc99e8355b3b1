"""The books: accounts, journal entries and postings; and what two people may add to them."""

from ledger.models.account import Account, AccountOwnerUnknown
from ledger.models.adjustment import Adjustment, AdjustmentMovesNothing
from ledger.models.journal import JournalEntry, Posting

__all__ = [
    "Account",
    "AccountOwnerUnknown",
    "Adjustment",
    "AdjustmentMovesNothing",
    "JournalEntry",
    "Posting",
]
