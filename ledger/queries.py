"""Reads of the books."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Sum

from ledger.domain.posting_rules import AccountKind, EntryType, Line, MovementOfMoney, drafts_of
from ledger.models import Account, Adjustment, JournalEntry
from shared.errors import NotFound


class JournalNotFound(NotFound):
    """Nothing is posted for this correlation id."""


class AdjustmentNotFound(NotFound):
    """There is no such adjustment."""


@dataclass(frozen=True)
class Balance:
    """
    What a merchant has in one currency, in minor units.

    Pending are open holds, available is what we owe the merchant, settled what was paid out.
    """

    currency: str
    pending_minor: int = 0
    available_minor: int = 0
    settled_minor: int = 0


@dataclass(frozen=True)
class TrialBalance:
    """What all debits minus all credits of a currency come to: anything but 0 is an alarm."""

    currency: str
    difference_minor: int


@dataclass(frozen=True)
class ChartLine:
    """A kind of account in one currency: how many there are, and their debits minus credits."""

    kind: AccountKind
    currency: str
    accounts: int
    balance_minor: int


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
    return list_entries_of_story(correlation_id, merchant_id=merchant_id)


def list_entries_of_story(correlation_id: UUID, **owned_by: UUID) -> list[JournalEntry]:
    """A story's entries with their postings, oldest first, whoever's they are: for operators."""
    entries = JournalEntry.objects.filter(correlation_id=correlation_id, **owned_by)
    # By their postings' numbers, drawn behind the locks: entries of one batch share their time, and
    # two ids of one millisecond have no order.
    in_order = entries.alias(first=Min("postings__id")).order_by("first")
    return list(in_order.prefetch_related("postings__account"))


def list_balances(merchant_id: UUID, *, as_of: datetime | None = None) -> list[Balance]:
    """
    The merchant's balances, one per currency that was ever posted.

    With `as_of`, what the entries created at or before that instant come to. An entry is created
    with the time at which its batch began and seen when that batch commits, so the answer about an
    instant stands once all batches that began before it are committed: a few seconds later at most.
    Asked for the present, it may miss what is being posted.
    """
    with connection.cursor() as cursor:
        if as_of is None:
            cursor.execute(_BALANCES, {"owner": str(merchant_id), "merchant_id": merchant_id})
        else:
            cursor.execute(_BALANCES_AS_OF, {"owner": str(merchant_id), "as_of": as_of})
        return [Balance(currency, *map(int, sums)) for currency, *sums in cursor.fetchall()]


def postings_of(event: MovementOfMoney) -> list[Line]:
    """The postings that an event would be booked as: for previews; it need not be published."""
    return [line for draft in drafts_of(event) for line in draft.lines]


def lock_adjustment(adjustment_id: UUID) -> Adjustment:
    """The adjustment, locked until the transaction ends. Raises: AdjustmentNotFound."""
    found = Adjustment.objects.select_for_update().filter(pk=adjustment_id).first()
    if found is None:
        raise AdjustmentNotFound
    return found


def list_chart() -> list[ChartLine]:
    """The chart of accounts with balances, by kind and currency."""
    sums = Account.objects.values_list("kind", "currency").annotate(
        accounts=Count("pk"), minor=Sum("balance_minor")
    )
    return [
        ChartLine(AccountKind(kind), currency, accounts, int(minor))
        for kind, currency, accounts, minor in sums.order_by("kind", "currency")
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

    Balances against the sum of their postings, entries against what they declare, debits against
    credits per currency, and holds against what was captured from them and released.
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
UNION ALL
SELECT 'hold', story.correlation_id::text,
       format('holds %s %s, captured %s, released %s in %s',
              held, story.currency, captured, released, releases)
FROM (SELECT correlation_id, currency,
             COALESCE(SUM(amount_minor) FILTER (WHERE entry_type = 'AUTH'), 0) AS held,
             COALESCE(SUM(amount_minor) FILTER (WHERE entry_type = 'CAPTURE'), 0) AS captured,
             COALESCE(SUM(amount_minor)
                      FILTER (WHERE entry_type IN ('RELEASE', 'VOID', 'EXPIRY')), 0) AS released,
             COUNT(*) FILTER (WHERE entry_type IN ('RELEASE', 'VOID', 'EXPIRY')) AS releases
      FROM ledger.journal_entry
      WHERE entry_type IN ('AUTH', 'CAPTURE', 'RELEASE', 'VOID', 'EXPIRY')
      GROUP BY correlation_id, currency) AS story
WHERE captured + released > held OR releases > 1 OR (releases = 1 AND captured + released < held)
"""

# One statement each, so that the three figures are of one moment. What is in a merchant's favour is
# a credit, and balances count debits minus credits.
_BALANCES = """
SELECT account.currency,
       COALESCE(SUM(-account.balance_minor) FILTER (WHERE account.kind = 'MERCHANT_PENDING'), 0),
       COALESCE(SUM(-account.balance_minor) FILTER (WHERE account.kind = 'MERCHANT_PAYABLE'), 0),
       COALESCE(MIN(paid_out.minor), 0)
FROM ledger.account
LEFT JOIN (SELECT posting.account_id, SUM(posting.debit_minor - posting.credit_minor) AS minor
           FROM ledger.journal_entry AS entry
           JOIN ledger.posting ON posting.entry_id = entry.id
           WHERE entry.merchant_id = %(merchant_id)s AND entry.entry_type = 'PAYOUT'
           GROUP BY posting.account_id) AS paid_out
  ON paid_out.account_id = account.id AND account.kind = 'MERCHANT_PAYABLE'
WHERE account.owner = %(owner)s AND account.kind IN ('MERCHANT_PENDING', 'MERCHANT_PAYABLE')
GROUP BY account.currency ORDER BY account.currency
"""
_BALANCES_AS_OF = """
SELECT account.currency, COALESCE(SUM(credit_minor - debit_minor)
           FILTER (WHERE account.kind = 'MERCHANT_PENDING'), 0),
       COALESCE(SUM(credit_minor - debit_minor)
           FILTER (WHERE account.kind = 'MERCHANT_PAYABLE'), 0),
       COALESCE(SUM(debit_minor - credit_minor)
           FILTER (WHERE account.kind = 'MERCHANT_PAYABLE' AND entry.entry_type = 'PAYOUT'), 0)
FROM ledger.account
JOIN ledger.posting ON posting.account_id = account.id
JOIN ledger.journal_entry AS entry ON entry.id = posting.entry_id
WHERE account.owner = %(owner)s AND account.kind IN ('MERCHANT_PENDING', 'MERCHANT_PAYABLE')
  AND entry.created_at <= %(as_of)s
GROUP BY account.currency ORDER BY account.currency
"""


@dataclass(frozen=True)
class Booked:
    """An entry as anybody would book it from the same event: without ids of its own."""

    story: UUID
    event_id: UUID
    entry_type: str
    postings: tuple[tuple[str, int], ...]
    """Accounts by their keys, with debits positive and credits negative, in minor units."""
    created_at: datetime

    @property
    def is_of_a_payment_event(self) -> bool:
        """Whether a payment's event caused it; people, or nobody yet, cause the others."""
        return self.entry_type not in (EntryType.ADJUSTMENT, EntryType.PAYOUT)


def list_booked(stories: Sequence[UUID]) -> list[Booked]:
    """Every entry of some stories."""
    entries = JournalEntry.objects.filter(correlation_id__in=stories)
    return [_booked(entry) for entry in entries.prefetch_related("postings__account")]


def _booked(entry: JournalEntry) -> Booked:
    lines = [(str(p.account.key), p.debit_minor - p.credit_minor) for p in entry.postings.all()]
    return Booked(
        story=entry.correlation_id,
        event_id=entry.event_id,
        entry_type=entry.entry_type,
        postings=tuple(sorted(lines)),
        created_at=entry.created_at,
    )
