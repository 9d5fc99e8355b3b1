"""What operators see of the trail. It is never changed, by nobody."""

from django.contrib import admin

from audit.models import Record
from shared.admin import EventTypeFilter, ReadOnlyAdmin


@admin.register(Record)
class RecordAdmin(ReadOnlyAdmin):
    """The trail, newest first; a correlation id in the search shows one story."""

    list_display = ("id", "event_type", "correlation_id", "occurred_at")
    # Periods, not Django's date hierarchy: that one reads the whole trail, the largest table there
    # is, to find its first and last day each time the list is opened.
    list_filter = (EventTypeFilter, "occurred_at")
    search_fields = ("event_id", "correlation_id", "subject_id", "merchant_id")
    search_help_text = "An id of the event, its story, its subject or its merchant."
