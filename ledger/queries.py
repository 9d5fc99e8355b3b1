"""Reads of the books."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from ledger.domain.posting_rules import AccountKind
from ledger.models import Account, JournalEntry
from shared.errors import NotFound


class JournalNotFound(NotFound):
    """Nothing is posted for this correlation id."""


@dataclass(frozen=True)
class Balance:
    """What a merchant has in one currency, in minor units."""

    currency: str
    pending_minor: int


@dataclass(frozen=True)
class TrialBalance:
    """What all debits minus all credits of a currency come to: anything but 0 is an alarm."""

    currency: str
    difference_minor: int


@dataclass(frozen=True)
class Finding:
    """Something the books say that cannot be: what, where, and the figures."""

    what: str
    where: str
    detail: str


def list_journal(*, merchant_id: UUID, correlation_id: UUID) -> list[JournalEntry]:
    """
    A story's entries with their postings, oldest first.

    Raises:
        JournalNotFound: nothing is posted, or it belongs to another merchant.

    """
    entries = list(list_entries(merchant_id=merchant_id, correlation_id=correlation_id))
    if not entries:
        raise JournalNotFound
    return entries


def list_entries(*, merchant_id: UUID, correlation_id: UUID) -> Sequence[JournalEntry]:
    """A story's entries with their postings, oldest first; empty when nothing is posted."""
    entries = JournalEntry.objects.filter(merchant_id=merchant_id, correlation_id=correlation_id)
    return list(entries.order_by("created_at", "id").prefetch_related("postings__account"))


def list_balances(merchant_id: UUID) -> list[Balance]:
    """The merchant's balances, one per currency that was ever posted."""
    accounts = Account.objects.filter(owner=str(merchant_id), kind=AccountKind.MERCHANT_PENDING)
    return [
        # A hold in the merchant's favour is a credit, and balances count debits minus credits.
        Balance(currency=account.currency, pending_minor=-account.balance_minor)
        for account in accounts.order_by("currency")
    ]


def trial_balance() -> list[TrialBalance]:
    """
    The sum of all balances per currency: cheap, because it reads accounts and no postings.

    What it cannot see, such as a balance that differs from its postings, `find_imbalances` does.
    """
    sums = Account.objects.values_list("currency").annotate(minor=Sum("balance_minor"))
    return [TrialBalance(currency, int(minor)) for currency, minor in sums.order_by("currency")]


def find_imbalances() -> list[Finding]:
    """
    Everything in the books that cannot be, from one snapshot; empty when all is well.

    Balances against the sum of their postings, entries against what they declare, and debits
    against credits per currency.
    """
    with connection.cursor() as cursor:
        cursor.execute(_IMBALANCES)
        return [Finding(*row) for row in cursor.fetchall()]


_IMBALANCES = """
SELECT 'balance', account.kind || ':' || account.owner || ':' || account.currency,
       format('snapshot %s, postings %s', account.balance_minor, COALESCE(sums.minor, 0))
FROM ledger.account
LEFT JOIN (SELECT account_id, SUM(debit_minor - credit_minor) AS minor
           FROM ledger.posting GROUP BY account_id) AS sums ON sums.account_id = account.id
WHERE account.balance_minor <> COALESCE(sums.minor, 0)
UNION ALL
SELECT 'entry', entry.id::text,
       format('declares %s postings of %s, has %s: debits %s, credits %s',
              entry.postings_count, entry.total_minor,
              COALESCE(sums.count, 0), sums.debits, sums.credits)
FROM ledger.journal_entry AS entry
LEFT JOIN (SELECT entry_id, COUNT(*) AS count, SUM(debit_minor) AS debits,
                  SUM(credit_minor) AS credits
           FROM ledger.posting GROUP BY entry_id) AS sums ON sums.entry_id = entry.id
WHERE (entry.postings_count, entry.total_minor, entry.total_minor)
      IS DISTINCT FROM (sums.count, sums.debits, sums.credits)
UNION ALL
SELECT 'trial balance', account.currency,
       format('debits minus credits %s', SUM(account.balance_minor))
FROM ledger.account GROUP BY account.currency HAVING SUM(account.balance_minor) <> 0
"""
