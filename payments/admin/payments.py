"""Payments with their operations and their history, and tokens."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from payments.admin.columns import MethodFilter, ProcessorFilter, columns, link
from payments.domain.lifecycle import HOLDING
from payments.models import Operation, Payment, StatusChange, Token
from payments.models.token import TokenType
from shared import clock
from shared.admin import ReadOnlyAdmin, ReadOnlyInline, choices_filter

HOLDS_END_SOON = timedelta(days=1)
_LOOKED_FOR = (
    ("id", "status", "in_doubt"),
    ("amount_minor", "authorised_minor", "released_minor"),
    ("captured_minor", "capturing_minor", "is_closing"),
    ("refunded_minor", "refunding_minor", "capture_before"),
    ("processor", "processor_reference"),
    ("merchant_name", "merchant_id", "idempotency_key"),
    ("decline_reason", "failure_reason"),
)
"""The fields of a payment's page that stand at its top, line by line."""


class HoldFilter(admin.SimpleListFilter):
    """Holds whose time is nearly over: what is not captured then is released."""

    title = "hold"
    parameter_name = "hold"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """The one choice."""
        return [("ends_soon", "ends within a day")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The payments of the choice."""
        if self.value() != "ends_soon":
            return queryset
        soon = clock.now() + HOLDS_END_SOON
        return queryset.filter(status__in=HOLDING, capture_before__lt=soon)


class OperationInline(ReadOnlyInline):
    """The calls to processors about a payment."""

    model = Operation
    fields = readonly_fields = (
        link(Operation, "pk", "Operation", shows="kind"),
        *columns(
            Operation,
            "purpose",
            "processor",
            "amount_minor",
            "outcome",
            "verdict",
            "reason",
            "sends",
            "inquiries",
            "created_at",
            badges=("outcome", "verdict"),
        ),
    )
    ordering = ("pk",)


class StatusChangeInline(ReadOnlyInline):
    """The steps of a payment from status to status."""

    model = StatusChange
    verbose_name_plural = "history"
    fields = readonly_fields = columns(
        StatusChange,
        "at",
        "status_from",
        "status_to",
        "reason",
        badges=("status_from", "status_to"),
    )
    ordering = ("pk",)


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """Payments, newest first, each with its operations and its history."""

    badges = ("status",)
    list_display = (
        "id",
        "status",
        "amount_minor",
        "captured_minor",
        "refunded_minor",
        "in_doubt",
        "processor",
        "created_at",
        "merchant_name",
    )
    list_filter = ("status", "in_doubt", HoldFilter, ProcessorFilter, MethodFilter, "created_at")
    inlines = (OperationInline, StatusChangeInline)
    search_fields = (
        "id",
        "correlation_id",
        "merchant_id",
        "payee_account_id",
        "merchant_name",
        "merchant_email",
        "idempotency_key",
    )
    search_help_text = "An id, a merchant's name or e-mail, or an idempotency key."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What people look for first; the rest of the columns folded away below it."""
        first = [[self._columns[name] for name in row] for row in _LOOKED_FOR]
        named = [column for row in first for column in row]
        rest = [column for column in self._shown if column not in named]
        return [
            (None, {"fields": first}),
            ("Terms and times", {"fields": rest, "classes": ("collapse",)}),
        ]


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    """Every step of every payment, as PostgreSQL wrote it down."""

    badges = ("status_from", "status_to")
    list_display = (
        "at",
        link(Payment, "payment_id", "Payment"),
        "status_from",
        "status_to",
        "reason",
    )
    search_fields = ("payment__id", "payment__correlation_id")
    search_help_text = "An id of the payment or its story."


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """What stands for cards and wallets; the numbers are shown to nobody."""

    list_display = (
        "id",
        "method_type",
        "brand",
        "last4",
        "wallet_provider",
        "created_at",
        "deleted_at",
    )
    list_filter = (
        choices_filter("type", "method_type", lambda: [(t.value, t.value) for t in TokenType]),
    )
    search_fields = ("id", "merchant_id")
    search_help_text = "A token, or a merchant's id."
