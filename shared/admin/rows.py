"""How rows are shown: the bases of every admin class."""

from collections.abc import Sequence
from typing import Any, ClassVar

import structlog
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst

from shared.admin.searching import BoundedPaginator, matching
from shared.admin.values import Column, column_of
from shared.errors import DomainError

log = structlog.get_logger(__name__)


class OperatorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """
    Lists that open at any size, searches that take any text, amounts and times people can read.

    `search_fields` are plain field paths: UUIDs match exactly, texts by what they contain.
    Binary columns are never shown, nor what `hidden` names.
    """

    hidden: ClassVar[tuple[str, ...]] = ()
    """Fields that no page shows."""
    badges: ClassVar[tuple[str, ...]] = ()
    """Fields whose words get a coloured dot."""

    ordering = ("-pk",)
    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "shared/admin/change_form.html"

    def __init__(self, model: type[models.Model], admin_site: admin.AdminSite) -> None:
        """Choose the columns once: Django compares them by identity."""
        super().__init__(model, admin_site)
        self._columns = {
            field.name: column_of(field, as_badge=field.name in self.badges)
            for field in model._meta.concrete_fields
            if not isinstance(field, models.BinaryField) and field.name not in self.hidden
        }
        self.list_display = [self._column(entry) for entry in self.list_display]

    # What is shown

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """See `matching`."""
        if not search_term.strip():
            return queryset, False
        return matching(queryset, list(self.get_search_fields(request)), search_term), False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> models.Model | None:
        """The row, or None also for what can be no row's id."""
        if "\0" in object_id:
            return None
        return super().get_object(request, object_id, from_field)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **options: Any
    ) -> Any:
        """Offer the list's actions on the page of a row, too, and the way to its story."""
        story_address = getattr(self.admin_site, "story_address", None)
        story_id = getattr(context.get("original"), "correlation_id", None)
        actions: dict[str, Any] = self.get_actions(request)
        context |= {
            "row_actions": [(name, label) for _, name, label in actions.values()],
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "story_address": story_address(story_id) if story_address and story_id else None,
        }
        return super().render_change_form(request, context, *args, **options)

    # What is allowed

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may take actions: who may only view, may not."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))

    # What must not become a 500

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; what the database refuses, or takes too long over, becomes a message."""
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        try:
            response = super().changelist_view(request, title | (extra_context or {}))
            return response.render() if isinstance(response, TemplateResponse) else response
        except DatabaseError as error:
            log.warning("a list could not be shown", model=self.opts.label, reason=str(error))
            self._refuse(request, "The database could not answer that. Narrow the search.")
            return HttpResponseRedirect(request.path if request.GET else self._front_page())

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The page of a row; a refused change becomes a message."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refusal:
            self._refuse(request, refusal.detail)
        except (IntegrityError, ValidationError):
            self._refuse(request, "Somebody changed this meanwhile. Look again.")
        return HttpResponseRedirect(request.get_full_path())

    def response_action(  # type: ignore[override]
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Run an action, unless what was chosen can be no row."""
        if not self._are_ids(request.POST.getlist(ACTION_CHECKBOX_NAME)):
            self._refuse(request, "There are no such rows.")
            return None
        return super().response_action(request, queryset)

    def _are_ids(self, chosen: Sequence[str]) -> bool:
        try:
            return all("\0" not in text and self.opts.pk.to_python(text) for text in chosen)
        except ValidationError:
            return False

    def _front_page(self) -> str:
        return reverse(f"{self.admin_site.name}:index")

    def _refuse(self, request: HttpRequest, message: str) -> None:
        self.message_user(request, message, messages.ERROR)

    def _column(self, entry: Any) -> Column | str:
        return self._columns.get(entry, entry) if isinstance(entry, str) else entry


class ReadOnlyAdmin(OperatorAdmin):
    """Rows that only use cases write: looked at here, changed by actions that call a use case."""

    def __init__(self, model: type[models.Model], admin_site: admin.AdminSite) -> None:
        """Show every field that is not hidden, or those that `fields` names, as text."""
        super().__init__(model, admin_site)
        self._shown = [self._column(name) for name in self.fields or self._columns]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All that is shown."""
        return self._shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All that is shown."""
        return self._shown

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows that belong to another, shown on its page and never changed there."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False
