"""What the tests of the module begin with: authorised payments, drafts, rows nobody checked."""

from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction

from ledger.domain.posting_rules import AccountKey, AccountKind, EntryType, Line, Side
from ledger.models import Account, Draft, JournalEntry, Posting
from ledger.use_cases.post_authorisations import post_authorisations
from shared.events.payments import PaymentTransactionAuthorised
from shared.identifiers import new_id
from shared.testing.events import example

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACME = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b99"

PROCESSOR = AccountKey(AccountKind.PROCESSOR_PENDING, "sandbox", "USD")
MERCHANT = AccountKey(AccountKind.MERCHANT_PENDING, ACME, "USD")
IN_EUROS = AccountKey(AccountKind.MERCHANT_PENDING, ACME, "EUR")


def authorised(**changes: Any) -> PaymentTransactionAuthorised:
    """An authorised payment of 250.00 USD to Acme."""
    return example(PaymentTransactionAuthorised, **({"merchant_id": ACME} | changes))


def post(*events: PaymentTransactionAuthorised) -> None:
    """Post the holds of these payments as one batch."""
    post_authorisations(authorised=events, now=NOW)


def draft(debit: AccountKey, credit: AccountKey, amount_minor: int = 100) -> Draft:
    """An entry that moves an amount from one account to the other."""
    return Draft(
        event_id=new_id(),
        entry_type=EntryType.AUTH,
        correlation_id=new_id(),
        merchant_id=new_id(),
        amount_minor=amount_minor,
        currency=debit.currency,
        lines=(Line(debit, Side.DEBIT, amount_minor), Line(credit, Side.CREDIT, amount_minor)),
    )


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
