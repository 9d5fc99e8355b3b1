"""Filters of lists. None asks the database which values there are: that would read the table."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from shared import clock
from shared.event_bus import standing
from shared.events import catalogue

Choices = Iterable[tuple[str, str]]

DONE = standing.State.DONE.value
NOT_DONE = "outstanding"


def choices_filter(title: str, name: str, choices: Callable[[], Choices]) -> type[SimpleListFilter]:
    """A filter by one field whose values are known beforehand; parameter and field are `name`."""

    class ChoicesFilter(SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> list[Any]:
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{name: self.value()}) if self.value() else queryset

    ChoicesFilter.title, ChoicesFilter.parameter_name = title, name
    return ChoicesFilter


EventTypeFilter = choices_filter(
    "type", "event_type", lambda: [(e.event_type, e.event_type) for e in catalogue.contracts()]
)


class StateFilter(SimpleListFilter):
    """Outstanding work by the state it is in."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> list[Any]:
        """The states such rows can be in."""
        states = [(state.value, state.value) for state in standing.states_of(model_admin.model)]
        return [(NOT_DONE, "not done"), *states] if (DONE, DONE) in states else states

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows in the chosen state."""
        if self.value() == NOT_DONE:
            return queryset.filter(standing.IS_OUTSTANDING)
        chosen = [state for state in standing.State if state == self.value()]
        return standing.in_state(queryset, chosen[0], clock.now()) if chosen else queryset
