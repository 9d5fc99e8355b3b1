"""What the module's endpoints give."""

from typing import Any

from rest_framework import serializers

from ledger.domain.posting_rules import EntryType
from ledger.models import JournalEntry, Posting
from ledger.queries import Balance
from shared import clock
from shared.money import format_amount


class PostingResource(serializers.Serializer[Any]):
    """One line of an entry."""

    account = serializers.CharField()
    debit = serializers.CharField(required=False)
    credit = serializers.CharField(required=False)


class EntryResource(serializers.Serializer[Any]):
    """A journal entry."""

    entryId = serializers.UUIDField()
    type = serializers.ChoiceField(choices=[kind.value for kind in EntryType])
    currency = serializers.CharField()
    amount = serializers.CharField()
    createdAt = serializers.DateTimeField()
    postings = PostingResource(many=True)


class Journal(serializers.Serializer[Any]):
    """The entries of one story."""

    data = EntryResource(many=True)  # type: ignore[assignment]


def entry_resource(entry: JournalEntry) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "entryId": str(entry.pk),
        "type": entry.entry_type,
        "currency": entry.currency,
        "amount": format_amount(entry.amount_minor, entry.currency),
        "createdAt": clock.iso(entry.created_at),
        "postings": [_posting(posting, entry.currency) for posting in entry.postings.all()],
    }


def balance_resource(balance: Balance) -> dict[str, str]:
    """A balance as the API shows it."""
    return {
        "currency": balance.currency,
        "pending": format_amount(balance.pending_minor, balance.currency),
    }


def _posting(posting: Posting, currency: str) -> dict[str, str]:
    side, minor = (
        ("debit", posting.debit_minor) if posting.debit_minor else ("credit", posting.credit_minor)
    )
    return {"account": str(posting.account.key), side: format_amount(minor, currency)}
