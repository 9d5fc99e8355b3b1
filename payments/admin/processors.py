"""Routes to processors, and the circuits through which they are called."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from payments.adapters.registry import is_configured, processor_names
from payments.admin.columns import MethodFilter, ProcessorFilter
from payments.models import BreakerState, CircuitBreaker, Route
from payments.use_cases.change_route import change_route
from payments.use_cases.close_circuit import close_circuit
from payments.use_cases.remove_route import remove_route
from shared.admin import Operator, ReadOnlyAdmin, asks_reason
from shared.admin.configuration import SettingAdmin, SettingForm

MAX_PRIORITY = 1000


class CircuitFilter(admin.SimpleListFilter):
    """Circuits by their state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Everything that is not closed, and each state."""
        return [("not_closed", "not closed"), *((s.value, s.value) for s in BreakerState)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The circuits of the choice."""
        if self.value() == "not_closed":
            return queryset.exclude(state=BreakerState.CLOSED)
        return queryset.filter(state=self.value()) if self.value() else queryset


def _processor_choices() -> list[tuple[str, str]]:
    return [
        (name, name if is_configured(name) else f"{name} (not configured)")
        for name in processor_names()
    ]


class RouteForm(SettingForm):
    """A route to one of the processors that there are."""

    currency = forms.CharField(
        max_length=3,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "size": 3}),
        help_text="An upper-case ISO 4217 code, such as USD. Empty: every currency.",
    )
    priority = forms.IntegerField(
        min_value=0,
        max_value=MAX_PRIORITY,
        help_text="Lower numbers are asked first; a route for the very currency before one for"
        " all.",
    )
    processor = forms.ChoiceField(
        choices=_processor_choices,
        help_text="One that is not configured is passed over.",
    )


@admin.register(Route)
class RouteAdmin(SettingAdmin):
    """Which processors carry out which payments, and in which order they are asked."""

    form = RouteForm
    settled = ("method_type", "currency", "processor")
    fields = ("method_type", "currency", "processor", "priority", "is_active", "why")
    list_display = (
        "method_type",
        "applies_to",
        "priority",
        "processor",
        "configured",
        "is_active",
    )
    list_filter = (MethodFilter, ProcessorFilter)
    ordering: ClassVar[Any] = ("method_type", "currency", "priority")
    search_fields = ("processor", "currency")
    actions = ("remove",)

    @admin.display(description="Currency", ordering="currency")
    def applies_to(self, route: Route) -> str:
        """Its currency, in words where it is for all."""
        return route.currency or "every currency"

    @admin.display(description="Configured")
    def configured(self, route: Route) -> str:
        """Whether the settings have what it takes to call its processor."""
        return "yes" if is_configured(route.processor) else "no"

    def store(self, setting: Route, operator: Operator) -> None:
        """See `change_route`."""
        change_route(route=setting, **vars(operator))

    @asks_reason(
        "Remove",
        consequence="New calls do not go there any more. What the processor holds already is"
        " captured, voided and refunded there all the same.",
    )
    def remove(self, route: Route, operator: Operator) -> None:
        """Take it away."""
        remove_route(route=route, **vars(operator))


@admin.register(CircuitBreaker)
class CircuitBreakerAdmin(ReadOnlyAdmin):
    """How processors answer; one that does not is left alone for a while."""

    badges = ("state",)
    list_display = ("processor", "state", "failures", "opened_at")
    list_filter = (CircuitFilter,)
    ordering = ("processor",)
    search_fields = ("processor",)
    actions = ("close",)

    @asks_reason(
        "Close",
        consequence="Calls go through again at once. The circuit also closes by itself, with the"
        " first call that gets an answer: do this only if you know that the processor is back.",
    )
    def close(self, breaker: CircuitBreaker, operator: Operator) -> None:
        """Let calls through."""
        close_circuit(processor=breaker.processor, **vars(operator))
