"""What operators see of payments. Nothing here changes a payment: its use cases do."""

from django.contrib import admin

from payments.models import Operation, Payment
from shared.admin import OutstandingAdmin, ReadOnlyAdmin


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """Payments, newest first."""

    badges = ("status",)
    list_display = (
        "id",
        "status",
        "amount_minor",
        "merchant_name",
        "in_doubt",
        "created_at",
    )
    list_filter = ("status", "in_doubt", "created_at")
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


@admin.register(Operation)
class OperationAdmin(OutstandingAdmin):
    """Calls to processors; parked ones wait for an operator."""

    badges = ("outcome",)
    list_display = (
        "id",
        "kind",
        "processor",
        "amount_minor",
        "outcome",
        "state",
        "created_at",
    )
    list_filter = (*OutstandingAdmin.list_filter, "kind")
    search_fields = ("id", "payment__id", "correlation_id", "processor_reference")
    search_help_text = "An id of the operation, its payment or its story, or a reference."
