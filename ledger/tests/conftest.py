"""What the tests of the module begin with: a payment's events, drafts, rows nobody checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from ledger.domain.posting_rules import (
    AccountKey,
    AccountKind,
    Draft,
    EntryType,
    Line,
    MovementOfMoney,
    Side,
)
from ledger.models import Account, JournalEntry, Posting
from ledger.queries import list_entries
from ledger.use_cases.post_movements import post_movements
from shared.events.payments import (
    PaymentTransactionAuthorised,
    PaymentTransactionCaptured,
    PaymentTransactionExpired,
    PaymentTransactionRefunded,
    PaymentTransactionVoided,
)
from shared.identifiers import new_id
from shared.testing.events import example

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACME = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b99"

PROCESSOR = AccountKey(AccountKind.PROCESSOR_PENDING, "sandbox", "USD")
MERCHANT = AccountKey(AccountKind.MERCHANT_PENDING, ACME, "USD")
IN_EUROS = AccountKey(AccountKind.MERCHANT_PENDING, ACME, "EUR")


@dataclass
class Story:
    """The events of one payment, of 250.00 USD to Acme unless the test says otherwise."""

    merchant_id: str = ACME
    processor: str = "sandbox"
    currency: str = "USD"
    amount_minor: int = 25_000
    correlation_id: str = field(default_factory=lambda: str(new_id()))

    def authorised(self) -> PaymentTransactionAuthorised:
        return example(PaymentTransactionAuthorised, **self._facts())

    def captured(self, minor: int, *, released: int = 0) -> PaymentTransactionCaptured:
        return example(
            PaymentTransactionCaptured,
            **self._facts(),
            captured_amount_minor=minor,
            total_captured_amount_minor=minor,
            released_amount_minor=released,
            is_final=bool(released),
        )

    def voided(self, minor: int) -> PaymentTransactionVoided:
        return example(PaymentTransactionVoided, **self._facts(), released_amount_minor=minor)

    def expired(self, minor: int) -> PaymentTransactionExpired:
        return example(PaymentTransactionExpired, **self._facts(), released_amount_minor=minor)

    def refunded(self, minor: int) -> PaymentTransactionRefunded:
        return example(
            PaymentTransactionRefunded,
            **self._facts(),
            refunded_amount_minor=minor,
            total_refunded_amount_minor=minor,
        )

    def whole_life(self) -> list[MovementOfMoney]:
        """Held, captured in two parts, the rest released, a part refunded."""
        rest = self.amount_minor - 100
        return [
            self.authorised(),
            self.captured(60),
            self.captured(40, released=rest),
            self.refunded(30),
        ]

    def entries(self) -> Sequence[JournalEntry]:
        """What is posted of it, oldest first."""
        return list_entries(
            merchant_id=UUID(self.merchant_id), correlation_id=UUID(self.correlation_id)
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "correlation_id": self.correlation_id,
            "subject_id": self.correlation_id,
            "merchant_id": self.merchant_id,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "processor": self.processor,
        }


def authorised(**changes: Any) -> PaymentTransactionAuthorised:
    """An authorised payment of 250.00 USD to Acme."""
    return Story(**changes).authorised()


def post(*events: MovementOfMoney, now: datetime = NOW) -> None:
    """Post what these events moved as one batch."""
    post_movements(events=events, now=now)


def draft(debit: AccountKey, credit: AccountKey, amount_minor: int = 100, **changes: Any) -> Draft:
    """An entry that moves an amount from one account to the other."""
    facts: dict[str, Any] = {
        "event_id": new_id(),
        "entry_type": EntryType.AUTH,
        "correlation_id": new_id(),
        "merchant_id": new_id(),
        "amount_minor": amount_minor,
        "currency": debit.currency,
        "lines": (Line(debit, Side.DEBIT, amount_minor), Line(credit, Side.CREDIT, amount_minor)),
    }
    return Draft(**(facts | changes))


def account(key: AccountKey) -> Account:
    """The account of a key, opened if need be."""
    with transaction.atomic():
        return Account.objects.opened([key], NOW)[key]


def balances() -> dict[str, int]:
    """Every account's balance, by the account as journals show it."""
    return {str(found.key): found.balance_minor for found in Account.objects.all()}


def write_entry(
    *postings: tuple[Account, int], using: str = "default", **changes: Any
) -> JournalEntry:
    """An entry of 100 USD with these postings, debits above and credits below 0; not checked."""
    facts = {
        "event_id": new_id(),
        "entry_type": EntryType.AUTH,
        "correlation_id": new_id(),
        "amount_minor": 100,
        "currency": "USD",
        "postings_count": 2,
        "total_minor": 100,
        "created_at": NOW,
    }
    entry = JournalEntry(**(facts | changes))
    entry.save(using=using, force_insert=True)
    add_postings(entry, *postings, using=using)
    return entry


def add_postings(
    entry: JournalEntry, *postings: tuple[Account, int], using: str = "default"
) -> None:
    """Postings of an entry; not checked."""
    for booked, minor in postings:
        Posting(
            entry_id=entry.pk,
            account_id=booked.pk,
            debit_minor=max(minor, 0),
            credit_minor=max(-minor, 0),
        ).save(using=using)


def tamper(statement: str, table: str) -> None:
    """Change an append-only table as only its owner can: by taking the lock off, and back on."""
    trigger = f"{table}_refuses_change"
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER {trigger}")
        cursor.execute(statement)
        cursor.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER {trigger}")
