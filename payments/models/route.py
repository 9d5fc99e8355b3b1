"""Routes: which processors carry out which payments, and in which order they are asked."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from shared.money import EXPONENTS
from shared.postgres.naming import schema_table

METHODS = ("CARD", "WALLET", "NETBANKING")


class RouteQuerySet(models.QuerySet["Route"]):
    """The routing table."""

    def table(self) -> "RoutingTable":
        """All routes in use, read once for a batch of payments."""
        return RoutingTable(list(self.filter(is_active=True).order_by("priority", "pk")))


class Route(models.Model):
    """
    A processor for payments of a method, in one currency or, when that is empty, in all.

    Lower priorities are asked first, and a route for the very currency before one for all.
    """

    method_type = models.TextField(choices=[(method, method) for method in METHODS])
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: every currency.")
    priority = models.SmallIntegerField(help_text="Lower numbers are asked first.")
    processor = models.TextField()
    is_active = models.BooleanField(default=True)

    objects: ClassVar[RouteQuerySet] = RouteQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "route")
        constraints = [
            models.UniqueConstraint(
                fields=["method_type", "currency", "processor"], name="route_once_per_processor"
            ),
            models.CheckConstraint(
                condition=Q(method_type__in=METHODS), name="route_method_is_known"
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=0), name="route_priority_not_negative"
            ),
        ]

    def __str__(self) -> str:
        """Method, currency and processor."""
        return f"{self.method_type} {self.currency or 'any currency'} → {self.processor}"

    def clean_fields(self, exclude: Any = None) -> None:
        """Raises: ValidationError, also for what is no currency."""
        super().clean_fields(exclude)
        if self.currency and self.currency not in EXPONENTS:
            raise ValidationError({"currency": "An upper-case ISO 4217 code, such as USD."})

    # Mutators

    def store(self) -> None:
        """Write it as it is now. Raises: ValidationError if it would not work, or is a double."""
        self.full_clean()
        self.save()

    def remove(self) -> None:
        """Take it away."""
        self.delete()

    # Properties

    @property
    def terms(self) -> str:
        """All of it in one line, for the trail."""
        return f"{self}, priority {self.priority}, {'on' if self.is_active else 'off'}"


class RoutingTable:
    """The routes as they were when a batch began."""

    def __init__(self, routes: list[Route]) -> None:
        """Take the routes in the order of their priorities."""
        self._routes = routes

    def next_processor(
        self, method_type: str, currency: str, *, usable: Collection[str], tried: Collection[str]
    ) -> str | None:
        """The first usable processor of a payment that was not tried yet; None if there is none."""
        fitting = [
            route
            for route in self._routes
            if route.method_type == method_type and route.currency in ("", currency)
        ]
        for route in sorted(fitting, key=lambda route: (not route.currency, route.priority)):
            if route.processor in usable and route.processor not in tried:
                return route.processor
        return None
