"""Outside work and publications: one way of looking at them, one way of steering them."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db import models

from shared import clock
from shared.admin.filters import StateFilter
from shared.admin.reasons import Operator, asks_reason
from shared.admin.rows import ReadOnlyAdmin
from shared.admin.values import badge_of
from shared.event_bus import operating, standing
from shared.models import Outstanding


class OutstandingAdmin(ReadOnlyAdmin):
    """Rows of outstanding work with their state; parked ones can be retried or skipped."""

    list_filter: ClassVar[Any] = (StateFilter,)
    actions = ("retry", "skip")

    def __init__(self, model: type[models.Model], admin_site: admin.AdminSite) -> None:
        """Show what the work is before how it goes."""
        super().__init__(model, admin_site)
        inherited = [self._column(field.name) for field in Outstanding._meta.fields]
        own = [column for column in self._shown if column not in inherited]
        self._shown = [*own, "state", *inherited]

    @admin.display(description="State")
    def state(self, row: Outstanding) -> str:
        """What it waits for."""
        return badge_of(standing.state_of(row, clock.now()))

    @asks_reason(
        "Retry",
        consequence="It is due again at once, with fresh attempts. Do this when what made it fail"
        " has been put right; otherwise it parks again.",
    )
    def retry(self, row: Outstanding, operator: Operator) -> None:
        """Make a parked row due again."""
        operating.retry(type(row), [row.pk], **vars(operator))

    @asks_reason(
        "Skip",
        consequence="It is given up for good and will never be done: what it was for has to be"
        " settled by other means.",
    )
    def skip(self, row: Outstanding, operator: Operator) -> None:
        """Give a parked row up."""
        operating.skip(type(row), [row.pk], **vars(operator))
