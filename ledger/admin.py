"""What operators see of the books, and how two of them correct what no event is booked as."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ledger.domain.posting_rules import PLATFORM, AccountKey, AccountKind, Correction, Party
from ledger.models import Account, Adjustment, JournalEntry, Posting
from ledger.use_cases.confirm_adjustment import confirm_adjustment
from ledger.use_cases.propose_adjustment import propose_adjustment
from ledger.use_cases.reject_adjustment import reject_adjustment
from shared import clock
from shared.admin import (
    NoCardNumber,
    Operator,
    OperatorAdmin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    asks_reason,
    money,
)
from shared.money import NotAnAmount, UnknownCurrency, parse_amount

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


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """What to move, between which accounts, and why."""

    amount = forms.CharField(max_length=64, help_text='In major units, such as "250.00".')
    debit_owner = forms.CharField(
        max_length=100, required=False, help_text="Empty for an account of the platform."
    )
    credit_owner = forms.CharField(
        max_length=100, required=False, help_text="Empty for an account of the platform."
    )
    reason = forms.CharField(
        max_length=500,
        validators=[NoCardNumber()],
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        help_text="Kept in the audit trail with your name. Somebody else has to confirm it.",
        error_messages={"required": "Say why: the audit trail keeps it."},
    )

    class Meta:
        model = Adjustment
        fields = (
            "debit_kind",
            "debit_owner",
            "credit_kind",
            "credit_owner",
            "amount",
            "currency",
            "correlation_id",
            "reason",
        )

    def clean_debit_kind(self) -> AccountKind:
        """As the domain names it."""
        return AccountKind(self.cleaned_data["debit_kind"])

    def clean_credit_kind(self) -> AccountKind:
        """As the domain names it."""
        return AccountKind(self.cleaned_data["credit_kind"])

    def clean(self) -> Any:
        """Turn the amount into minor units, and name the platform's accounts."""
        given = super().clean() or self.cleaned_data
        for side in ("debit", "credit"):
            kind = given.get(f"{side}_kind")
            if kind and kind.party is Party.PLATFORM:
                given[f"{side}_owner"] = given.get(f"{side}_owner") or PLATFORM
        try:
            given["amount_minor"] = parse_amount(given.get("amount"), given.get("currency", ""))
        except UnknownCurrency as refusal:
            self.add_error("currency", str(refusal))
        except NotAnAmount as refusal:
            self.add_error("amount", str(refusal))
        return given


@admin.register(Adjustment)
class AdjustmentAdmin(ReadOnlyAdmin):
    """Corrections of the books: one person proposes, another confirms."""

    form = AdjustmentForm
    badges = ("state",)
    list_display = ("__str__", "state", "proposed_by", "proposed_at", "decided_by")
    list_filter = ("state", "proposed_at")
    search_fields = ("id", "correlation_id", "debit_owner", "credit_owner", "proposed_by")
    search_help_text = "An id of the adjustment, its story or a merchant; a processor; a person."
    actions = ("confirm", "reject")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever Django says: adding is proposing."""
        return OperatorAdmin.has_add_permission(self, request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The form's own for a new one."""
        return super().get_fields(request, obj) if obj else AdjustmentForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Everything once it is proposed."""
        return super().get_readonly_fields(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Propose it, in the transaction of Django's own log."""
        given = form.cleaned_data
        correction = Correction(
            AccountKey(given["debit_kind"], given["debit_owner"], given["currency"]),
            AccountKey(given["credit_kind"], given["credit_owner"], given["currency"]),
            given["amount_minor"],
            given["correlation_id"],
        )
        proposed = propose_adjustment(
            correction=correction,
            actor=request.user.get_username(),
            reason=given["reason"],
            now=clock.now(),
        )
        obj.pk = proposed.pk
        obj.refresh_from_db()

    @asks_reason(
        "Confirm",
        consequence="The entry is posted to the journal, where nothing is ever changed. Whoever"
        " proposed it cannot confirm it.",
    )
    def confirm(self, adjustment: Adjustment, operator: Operator) -> None:
        """Post it."""
        confirm_adjustment(adjustment_id=adjustment.pk, **vars(operator))

    @asks_reason("Reject", consequence="Nothing is posted, and it cannot be confirmed any more.")
    def reject(self, adjustment: Adjustment, operator: Operator) -> None:
        """Turn it down."""
        reject_adjustment(adjustment_id=adjustment.pk, **vars(operator))
