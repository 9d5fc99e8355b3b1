"""The routing table: who is asked first, and who next."""

from collections.abc import Callable

import pytest

from payments.models import Route
from shared.testing.refusals import constraint_names, violated

pytestmark = pytest.mark.django_db

ALL = {"a", "b", "c", "sandbox", "sandbox-backup", "sandbox-wallet", "sandbox-bank"}


def route(
    processor: str, priority: int = 10, currency: str = "", method_type: str = "CARD"
) -> Route:
    return Route.objects.create(
        method_type=method_type, currency=currency, priority=priority, processor=processor
    )


def order(method_type: str = "CARD", currency: str = "USD", usable: set[str] = ALL) -> list[str]:
    """Who is asked one after the other, when each cannot."""
    table, tried = Route.objects.table(), list[str]()
    while next_one := table.next_processor(method_type, currency, usable=usable, tried=tried):
        tried.append(next_one)
    return tried


class TestRoute:
    def test_refuses_what_its_constraints_name(self) -> None:
        breaks: dict[str, Callable[[], object]] = {
            "route_once_per_processor": lambda: route("sandbox"),
            "route_method_is_known": lambda: route("a", method_type="CASH"),
            "route_priority_not_negative": lambda: route("a", -1),
        }
        for name, way in breaks.items():
            assert violated(way) == name
        assert set(breaks) == constraint_names(Route)


class TestRoutingTable:
    def test_begins_with_the_sandbox(self) -> None:
        assert order("CARD") == ["sandbox", "sandbox-backup"]
        assert order("WALLET") == ["sandbox-wallet"]
        assert order("NETBANKING") == ["sandbox-bank"]

    def test_asks_lower_numbers_first(self) -> None:
        route("a", 30), route("b", 5), route("c", 15)
        assert order() == ["b", "sandbox", "c", "sandbox-backup", "a"]

    def test_asks_those_of_the_very_currency_before_those_of_all(self) -> None:
        route("a", 90, "USD"), route("b", 80, "USD"), route("c", 1, "EUR")
        assert order() == ["b", "a", "sandbox", "sandbox-backup"]
        assert order(currency="EUR") == ["c", "sandbox", "sandbox-backup"]

    def test_asks_nobody_twice_who_has_two_routes(self) -> None:
        route("sandbox", 90, "USD")
        assert order() == ["sandbox", "sandbox-backup"]

    def test_passes_over_who_is_not_usable_or_in_use(self) -> None:
        assert order(usable={"sandbox-backup"}) == ["sandbox-backup"]
        assert order(usable=set()) == []
        Route.objects.filter(processor="sandbox").update(is_active=False)
        assert order() == ["sandbox-backup"]

    def test_is_read_once(self) -> None:
        table = Route.objects.table()
        Route.objects.all().delete()
        assert table.next_processor("CARD", "USD", usable=ALL, tried=()) == "sandbox"
        assert order() == []
