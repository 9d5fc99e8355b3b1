"""Removing a route: once, told, not followed any more."""

import pytest

from payments.models import Route
from payments.tests.conftest import NOW
from payments.use_cases.remove_route import RouteNotFound, remove_route
from shared.event_bus.operating import ReasonRequired
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

ACTION = "Operator.Action.Taken"


@pytest.fixture
def route() -> Route:
    return Route.objects.get(processor="sandbox")


def remove(route: Route, reason: str = "contract ended") -> None:
    remove_route(route=route, actor="olga", reason=reason, now=NOW)


class TestRemoveRoute:
    def test_takes_it_away_and_tells(self, route: Route) -> None:
        remove(route)
        table, usable = Route.objects.table(), {"sandbox", "sandbox-backup"}
        assert table.next_processor("CARD", "USD", usable=usable, tried=()) == "sandbox-backup"
        assert told(ACTION) == [
            {
                "actor": "olga",
                "action": "payments.route.remove",
                "subject": "CARD any currency → sandbox, priority 10, on",
                "reason": "contract ended",
            }
        ]

    def test_removes_nothing_without_a_reason(self, route: Route) -> None:
        with pytest.raises(ReasonRequired):
            remove(route, reason="")
        assert Route.objects.filter(processor="sandbox").exists()

    def test_is_told_once_when_two_do_it(self, route: Route) -> None:
        def attempt() -> str:
            try:
                remove(route)
            except RouteNotFound:
                return "gone"
            return "removed"

        assert sorted(race([attempt, attempt])) == ["gone", "removed"]
        assert len(told(ACTION)) == 1
