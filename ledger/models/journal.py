"""
The journal: entries and their postings.

The database guards them (see the migrations): a deferred trigger on entries and one on postings
check number, total and balance of every entry at commit; a trigger on entries refuses to take more
from a hold than it holds; entries and postings refuse UPDATE, DELETE and TRUNCATE.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Q

from ledger.domain.posting_rules import RELEASES, Draft, EntryType, Line, Side
from ledger.models.account import Account
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR, Money
from shared.postgres.batches import insert_all
from shared.postgres.naming import schema_table


class JournalEntryQuerySet(models.QuerySet["JournalEntry"]):
    """Posting entries."""

    def post(self, drafts: Sequence[Draft], *, now: datetime) -> list["JournalEntry"]:
        """
        Post entries with their postings and move the balances; returns the new entries.

        An entry posted before for the same event and type is left alone. Accounts are locked in
        ascending order first, so two batches never wait for each other in a circle. All entries of
        a hold move the same accounts, so what may be taken from it cannot change meanwhile.

        Raises:
            IntegrityError: an entry does not balance, takes more than its story holds
                (`journal_entry_within_its_hold`), or releases a hold for the second time
                (`journal_entry_one_release_per_hold`).

        """
        accounts = Account.objects.opened((line.account for d in drafts for line in d.lines), now)
        # Only behind the locks: whoever posts the same events now has waited for the same accounts.
        new = self._not_posted(drafts)
        entries = [JournalEntry.of(draft, now=now) for draft in new]
        insert_all(entries)
        changes_minor: dict[UUID, int] = defaultdict(int)
        postings = []
        for draft, entry in zip(new, entries, strict=True):
            for line in draft.lines:
                posting = Posting.of(line, entry=entry, account=accounts[line.account])
                postings.append(posting)
                changes_minor[posting.account_id] += posting.debit_minor - posting.credit_minor
        insert_all(postings)
        if changes_minor:
            Account.objects.move(changes_minor)
        return entries

    def _not_posted(self, drafts: Sequence[Draft]) -> list[Draft]:
        posted = set(
            self.filter(event_id__in=[draft.event_id for draft in drafts]).values_list(
                "event_id", "entry_type"
            )
        )
        return [draft for draft in drafts if (draft.event_id, draft.entry_type) not in posted]


class JournalEntry(models.Model):
    """
    A movement of money, complete in itself: its postings balance and never change.

    `amount_minor` is the amount moved; `postings_count` and `total_minor` declare how many
    postings it has and what its debits add up to.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event_id = models.UUIDField()
    entry_type = models.TextField(choices=[(kind, kind.name) for kind in EntryType])
    correlation_id = models.UUIDField()
    merchant_id = models.UUIDField(null=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    postings_count = models.SmallIntegerField()
    total_minor = models.BigIntegerField()
    created_at = models.DateTimeField()

    append_only: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})
    objects: ClassVar[JournalEntryQuerySet] = JournalEntryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("ledger", "journal_entry")
        verbose_name_plural = "journal entries"
        constraints = [
            models.UniqueConstraint(
                fields=["event_id", "entry_type"], name="journal_entry_once_per_event"
            ),
            models.UniqueConstraint(
                fields=["correlation_id"],
                condition=Q(entry_type__in=[kind.value for kind in RELEASES]),
                name="journal_entry_one_release_per_hold",
            ),
            models.CheckConstraint(
                condition=Q(entry_type__in=[kind.value for kind in EntryType]),
                name="journal_entry_type_is_known",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=1, amount_minor__lte=MAX_AMOUNT_MINOR),
                name="journal_entry_amount_within_limits",
            ),
            models.CheckConstraint(
                condition=Q(postings_count__gte=2, total_minor__gte=F("amount_minor")),
                name="journal_entry_has_two_sides",
            ),
        ]
        indexes = [
            models.Index(fields=["correlation_id"], name="journal_entry_by_story"),
            models.Index(
                fields=["merchant_id"],
                condition=Q(entry_type=EntryType.PAYOUT.value),
                name="journal_entry_payouts",
            ),
        ]

    def __str__(self) -> str:
        """Type and amount."""
        return f"{self.entry_type} {Money(self.amount_minor, self.currency)}"

    # Factories

    @classmethod
    def of(cls, draft: Draft, *, now: datetime) -> "JournalEntry":
        """An entry that declares the postings of its draft; not saved."""
        debits = [line.amount_minor for line in draft.lines if line.side is Side.DEBIT]
        return cls(
            event_id=draft.event_id,
            entry_type=draft.entry_type,
            correlation_id=draft.correlation_id,
            merchant_id=draft.merchant_id,
            amount_minor=draft.amount_minor,
            currency=draft.currency,
            postings_count=len(draft.lines),
            total_minor=sum(debits),
            created_at=now,
        )


class Posting(models.Model):
    """One line of an entry: a positive debit or a positive credit of an account."""

    id = models.BigAutoField(primary_key=True)
    entry = models.ForeignKey(
        JournalEntry, on_delete=models.PROTECT, related_name="postings", db_index=False
    )
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="postings", db_index=False
    )
    debit_minor = models.BigIntegerField(default=0)
    credit_minor = models.BigIntegerField(default=0)

    append_only: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    class Meta:
        db_table = schema_table("ledger", "posting")
        constraints = [
            models.CheckConstraint(
                condition=Q(debit_minor__gt=0, credit_minor=0)
                | Q(debit_minor=0, credit_minor__gt=0),
                name="posting_on_one_side",
            ),
        ]
        indexes = [
            models.Index(fields=["entry"], name="posting_by_entry"),
            models.Index(fields=["account"], name="posting_by_account"),
        ]

    def __str__(self) -> str:
        """Debit and credit, in minor units: the currency is the account's."""
        return f"Dr {self.debit_minor} / Cr {self.credit_minor} minor units"

    # Factories

    @classmethod
    def of(cls, line: Line, *, entry: JournalEntry, account: Account) -> "Posting":
        """A posting of an entry; not saved."""
        is_debit = line.side is Side.DEBIT
        return cls(
            entry=entry,
            account=account,
            debit_minor=line.amount_minor if is_debit else 0,
            credit_minor=0 if is_debit else line.amount_minor,
        )
