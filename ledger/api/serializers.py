"""What the module's endpoints give."""

from typing import Any

from rest_framework import serializers

from ledger.domain.posting_rules import AccountKey, EntryType, MovementOfMoney, Side
from ledger.models import JournalEntry, Posting
from ledger.queries import Balance, postings_of
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
        "postings": [_posted(posting) for posting in entry.postings.all()],
    }


def balance_resource(balance: Balance) -> dict[str, str]:
    """A balance as the API shows it."""
    return {
        "currency": balance.currency,
        "pending": format_amount(balance.pending_minor, balance.currency),
        "available": format_amount(balance.available_minor, balance.currency),
        "settled": format_amount(balance.settled_minor, balance.currency),
    }


def posting_resources(event: MovementOfMoney) -> list[dict[str, str]]:
    """What an event would be booked as, for previews: `{account, debit}` or `{account, credit}`."""
    return [_posting(line.account, line.side, line.amount_minor) for line in postings_of(event)]


def _posted(posting: Posting) -> dict[str, str]:
    side = Side.DEBIT if posting.debit_minor else Side.CREDIT
    return _posting(posting.account.key, side, posting.debit_minor or posting.credit_minor)


def _posting(account: AccountKey, side: Side, amount_minor: int) -> dict[str, str]:
    return {"account": str(account), side.lower(): format_amount(amount_minor, account.currency)}
