"""Removing a route to a processor."""

from datetime import datetime

from payments.models import Route
from shared import db
from shared.errors import NotFound
from shared.event_bus import operating


class RouteNotFound(NotFound):
    """This route is not there any more."""


def remove_route(*, route: Route, actor: str, reason: str, now: datetime) -> None:
    """
    Take a route away; calls from now on do not follow it.

    What its processor holds already is captured, voided and refunded there all the same.
    Publishes Operator.Action.Taken.

    Raises:
        RouteNotFound, ReasonRequired.

    """
    with db.transaction():
        found = Route.objects.select_for_update().filter(pk=route.pk).first()
        if found is None:
            raise RouteNotFound
        terms = found.terms
        found.remove()
        operating.tell(
            actor=actor, action="payments.route.remove", subject=terms, reason=reason, now=now
        )
