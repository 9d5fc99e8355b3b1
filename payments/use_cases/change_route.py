"""Changing which processors carry out which payments."""

from datetime import datetime

from django.core.exceptions import ValidationError

from payments.adapters.registry import processor_names
from payments.models import Route
from shared import db
from shared.event_bus import operating


def change_route(*, route: Route, actor: str, reason: str, now: datetime) -> None:
    """
    Store a route, new or changed; calls from now on follow it.

    A processor that is not configured may be routed to: it is passed over until it is.
    Publishes Operator.Action.Taken, whose subject says what it was and what it is.

    Raises:
        ValidationError: it would not work: an unknown processor, method or currency, or a route
            that is there already.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        before = Route.objects.select_for_update().filter(pk=route.pk).first()
        _check_processor(route, before)
        route.store()
        operating.tell(
            actor=actor,
            action=f"payments.route.{'change' if before else 'add'}",
            subject=f"{before.terms} → {route.terms}" if before else route.terms,
            reason=reason,
            now=now,
        )


def _check_processor(route: Route, before: Route | None) -> None:
    # One that the code does not have any more can still be ranked, or put out of use.
    is_kept = before is not None and before.processor == route.processor
    if not is_kept and route.processor not in processor_names():
        raise ValidationError({"processor": "There is no processor of this name."})
