"""The machinery's own rows: publications, events, idempotency records, scheduled runs, rates."""

from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from shared.admin.filters import EventTypeFilter, choices_filter
from shared.admin.outstanding import OutstandingAdmin
from shared.admin.reasons import Operator, asks_reason
from shared.admin.rows import ReadOnlyAdmin
from shared.admin.values import NOTHING
from shared.event_bus import inspection, operating, schedule, standing
from shared.models import Event, IdempotencyRecord, Publication, RateBucket, ScheduledRun

ListenerFilter = choices_filter(
    "listener", "listener_id", lambda: [(name, name) for name in standing.listener_ids()]
)
JobFilter = choices_filter("job", "job", lambda: [(name, name) for name in sorted(schedule.jobs)])


@admin.register(Publication)
class PublicationAdmin(OutstandingAdmin):
    """What listeners still have to do: parked rows wait here for an operator."""

    actions = (*OutstandingAdmin.actions, "retry_all_of_its_listener")  # type: ignore[assignment]
    list_display = ("id", "event", "listener_id", "state", "failures", "created_at")
    list_filter = (*OutstandingAdmin.list_filter, ListenerFilter)
    list_select_related = ("event",)
    search_fields = ("correlation_id", "event__event_id", "event__event_type", "listener_id")

    def __init__(self, model: type[Publication], admin_site: admin.AdminSite) -> None:
        """Show also what waits behind a row."""
        super().__init__(model, admin_site)
        self._shown = [*self._shown, "holds_back"]

    @admin.display(description="Holds back")
    def holds_back(self, row: Publication) -> str:
        """Later publications of its story for the same listener."""
        count = inspection.count_behind(row)
        chosen = urlencode({"q": row.correlation_id, "listener_id": row.listener_id})
        return _link(Publication, f"{count} of its story", f"?{chosen}") if count else NOTHING

    @asks_reason(
        "Retry all of its listener",
        consequence="Every publication that is parked for the same listener, here or not, is due"
        " again at once, with fresh attempts. Do this when what made them fail has been put right.",
    )
    def retry_all_of_its_listener(self, row: Publication, operator: Operator) -> None:
        """Make everything parked for this row's listener due again."""
        operating.retry_all(listener_id=row.listener_id, **vars(operator))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Events of the last 30 days, in order; the permanent trail is the audit's."""

    list_display = ("sequence", "event_type", "correlation_id", "published_at")
    list_filter = (EventTypeFilter,)
    search_fields = ("event_id", "correlation_id", "subject_id", "merchant_id")

    def __init__(self, model: type[Event], admin_site: admin.AdminSite) -> None:
        """Show also who has not had it yet."""
        super().__init__(model, admin_site)
        self._shown = [*self._shown, "waits_for"]

    @admin.display(description="Waits for")
    def waits_for(self, event: Event) -> str:
        """The listeners that still have to do something about it."""
        rows = inspection.publications_of(event).order_by("listener_id")
        links = [(_link(Publication, row.listener_id, str(row.pk)),) for row in rows]
        return format_html_join(", ", "{}", links) if links else "nobody: every listener is done"


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """Which keys were used for what; what was answered stays sealed."""

    hidden = ("fingerprint", "response")
    list_display = ("id", "merchant_id", "key", "status", "created_at", "expires_at")
    search_fields = ("merchant_id", "subject_id", "key")


@admin.register(ScheduledRun)
class ScheduledRunAdmin(ReadOnlyAdmin):
    """Which slots of which jobs were begun and done."""

    list_display = ("id", "job", "scheduled_at", "started_at", "finished_at")
    list_filter = (JobFilter,)
    search_fields = ("job",)


@admin.register(RateBucket)
class RateBucketAdmin(ReadOnlyAdmin):
    """What callers have left of their rate."""

    list_display = ("bucket", "tokens", "refilled_at")
    search_fields = ("bucket",)


def _link(model: type[Model], text: str, where: str) -> str:
    """A link to a row of a model by its key, or to its list by a query."""
    page = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    is_list = where.startswith("?")
    address = (
        reverse(f"{page}_changelist") + where
        if is_list
        else reverse(f"{page}_change", args=[where])
    )
    return format_html('<a href="{}">{}</a>', address, text)
