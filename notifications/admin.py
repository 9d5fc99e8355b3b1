"""What operators see of messages: what was sent, what waits, what is parked."""

from django.contrib import admin

from notifications.domain.templates import PREVIOUS_CONTACT, TEMPLATES
from notifications.models import Contact, Message
from shared.admin import OutstandingAdmin, ReadOnlyAdmin, choices_filter

TemplateFilter = choices_filter(
    "template",
    "template",
    lambda: [(name, name) for name in sorted({*TEMPLATES.values(), PREVIOUS_CONTACT})],
)


@admin.register(Message)
class MessageAdmin(OutstandingAdmin):
    """Messages to merchants, newest first."""

    list_display = ("template", "recipient", "state", "failures", "sent_at", "created_at")
    list_filter = (*OutstandingAdmin.list_filter, TemplateFilter)
    search_fields = ("id", "correlation_id", "event_id", "merchant_id", "recipient")
    search_help_text = "An id, or a recipient."


@admin.register(Contact)
class ContactAdmin(ReadOnlyAdmin):
    """Where merchants are written to whose address was changed."""

    list_display = ("merchant_id", "email", "changed_at")
    search_fields = ("merchant_id", "email")
    search_help_text = "A merchant's id, or an address."
