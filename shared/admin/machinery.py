"""The machinery's own rows: publications, events, idempotency records, scheduled runs, rates."""

from django.contrib import admin

from shared.admin.filters import EventTypeFilter, choices_filter
from shared.admin.outstanding import OutstandingAdmin
from shared.admin.rows import ReadOnlyAdmin
from shared.event_bus import schedule, standing
from shared.models import Event, IdempotencyRecord, Publication, RateBucket, ScheduledRun

ListenerFilter = choices_filter(
    "listener", "listener_id", lambda: [(name, name) for name in standing.listener_ids()]
)
JobFilter = choices_filter("job", "job", lambda: [(name, name) for name in sorted(schedule.jobs)])


@admin.register(Publication)
class PublicationAdmin(OutstandingAdmin):
    """What listeners still have to do: parked rows wait here for an operator."""

    list_display = ("id", "event", "listener_id", "state", "failures", "created_at")
    list_filter = (*OutstandingAdmin.list_filter, ListenerFilter)
    list_select_related = ("event",)
    search_fields = ("correlation_id", "event__event_id", "event__event_type", "listener_id")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Events of the last 30 days, in order; the permanent trail is the audit's."""

    list_display = ("sequence", "event_type", "correlation_id", "published_at")
    list_filter = (EventTypeFilter,)
    search_fields = ("event_id", "correlation_id", "subject_id", "merchant_id")


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """Which keys were used for what; what was answered stays sealed."""

    hidden = ("fingerprint", "response")
    list_display = ("id", "merchant_id", "key", "status", "created_at", "expires_at")
    search_fields = ("merchant_id", "subject_id", "key")


@admin.register(ScheduledRun)
class ScheduledRunAdmin(ReadOnlyAdmin):
    """Which slots of which jobs were taken."""

    list_display = ("id", "job", "scheduled_at", "started_at")
    list_filter = (JobFilter,)
    search_fields = ("job",)


@admin.register(RateBucket)
class RateBucketAdmin(ReadOnlyAdmin):
    """What callers have left of their rate."""

    list_display = ("bucket", "tokens", "refilled_at")
    search_fields = ("bucket",)
