"""What operators see of the books. Nothing here posts: the ledger's use cases do."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ledger.models import Account, JournalEntry, Posting
from shared.admin import ReadOnlyAdmin, ReadOnlyInline, money

SIDES: tuple[Any, ...] = (
    money("debit_minor", currency="account.currency"),
    money("credit_minor", currency="account.currency"),
)


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Accounts with their balances: debits minus credits."""

    list_display = ("kind", "owner", "balance_minor", "created_at")
    list_filter = ("kind",)
    search_fields = ("id", "owner", "currency")
    search_help_text = "An account's id, a merchant's id, a processor's name or a currency."


class PostingInline(ReadOnlyInline):
    """The lines of an entry."""

    model = Posting
    fields = readonly_fields = ("account", *SIDES)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With their accounts."""
        return super().get_queryset(request).select_related("account").order_by("pk")


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """Entries with their postings."""

    list_display = ("id", "entry_type", "amount_minor", "merchant_id", "created_at")
    list_filter = ("entry_type", "created_at")
    inlines = (PostingInline,)
    search_fields = ("id", "correlation_id", "event_id", "merchant_id")
    search_help_text = "An id of the entry, its story, its event or its merchant."


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    """Debits and credits one by one."""

    list_display = ("id", "entry", "account", *SIDES)
    fields: ClassVar[Any] = list_display
    list_select_related = ("entry", "account")
    search_fields = ("entry__id", "entry__correlation_id", "account__id", "account__owner")
    search_help_text = "An id of the entry, its story or its account, or the account's owner."
