"""Routes and circuits in the admin."""

from typing import Any

import pytest

from payments import conf
from payments.models import CircuitBreaker, Route
from payments.tests.conftest import FakeProcessor
from shared import clock
from shared.testing.events import told
from shared.testing.operators import (
    OperatorClient,
    address,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


def actions_told() -> list[tuple[str, str]]:
    return [(action["actor"], action["action"]) for action in told("Operator.Action.Taken")]


class TestRouteAdmin:
    VALUES: dict[str, Any] = {
        "method_type": "CARD",
        "currency": "EUR",
        "processor": "sandbox-backup",
        "priority": "5",
        "is_active": "on",
        "why": "cheaper",
    }

    def test_adds_changes_and_removes_with_reasons(self, operator: OperatorClient) -> None:
        added = operator.add(Route, **self.VALUES)
        assert added.status_code == 302, text(added)
        route = Route.objects.get(currency="EUR")
        changed = operator.save(route, priority="7", why="less urgent")
        assert changed.status_code == 302, text(changed)
        route.refresh_from_db()
        assert (route.priority, route.is_active) == (7, False)
        assert "Remove: 1 route." in operator.act("remove", route, reason="trial is over")
        assert not Route.objects.filter(currency="EUR").exists()
        assert [action["reason"] for action in told("Operator.Action.Taken")] == [
            "cheaper",
            "less urgent",
            "trial is over",
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"processor": "nobody"},
            {"processor": ""},
            {"currency": "XXX"},
            {"currency": "eur"},
            {"currency": "EURO"},
            {"currency": "\0"},
            {"method_type": "CASH"},
            {"priority": "-1"},
            {"priority": "1001"},
            {"priority": "x"},
            {"why": ""},
            {"why": "4111-1111-1111-1111"},
            {"currency": "", "processor": "sandbox"},
        ],
        ids=str,
    )
    def test_what_would_not_work_is_an_error_of_the_form(
        self, operator: OperatorClient, wrong: dict[str, str]
    ) -> None:
        before = Route.objects.count()
        assert "errorlist" in text(operator.add(Route, **(self.VALUES | wrong)))
        assert Route.objects.count() == before
        assert actions_told() == []

    def test_one_that_is_there_already_is_named_so(self, operator: OperatorClient) -> None:
        page = operator.add(Route, **(self.VALUES | {"currency": "", "processor": "sandbox"}))
        assert "already exists" in text(page)

    def test_keep_what_they_are_known_by(self, operator: OperatorClient) -> None:
        route = Route.objects.get(processor="sandbox")
        operator.save(route, **(self.VALUES | {"priority": "1"}))
        route.refresh_from_db()
        assert (route.currency, route.processor, route.priority) == ("", "sandbox", 1)

    def test_say_which_processors_are_configured(
        self, operator: OperatorClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asleep = FakeProcessor("sandbox-backup")
        asleep.is_configured = False  # type: ignore[attr-defined]
        registry = {"sandbox": FakeProcessor(), "sandbox-backup": asleep}
        monkeypatch.setattr("payments.adapters.registry._PROCESSORS", registry)
        form = text(operator.client.get(address(Route, "add")))
        assert "sandbox-backup (not configured)" in form
        assert ">sandbox</option>" in form
        rows = text(operator.list(Route, processor="sandbox-backup"))
        assert '<td class="field-configured">no</td>' in rows
        assert "every currency" in rows

    def test_are_not_deleted_djangos_way(self, operator: OperatorClient) -> None:
        assert "delete_selected" not in text(operator.list(Route))
        route = Route.objects.get(processor="sandbox")
        deletion = operator.client.post(address(Route, "delete", route.pk), {"post": "yes"})
        assert deletion.status_code == 403

    def test_are_not_changed_by_who_may_only_view(self) -> None:
        viewer = OperatorClient.who_may_only_view()
        route = Route.objects.get(processor="sandbox")
        assert viewer.save(route, priority="1", why="x").status_code == 403
        assert viewer.add(Route, **self.VALUES).status_code == 403
        viewer.act("remove", route)
        assert Route.objects.filter(pk=route.pk, priority=10).exists()

    def test_withstand_any_term(self, operator: OperatorClient) -> None:
        withstands_hostile_terms(operator, Route)


class TestCircuitBreakerAdmin:
    @pytest.fixture
    def breaker(self) -> CircuitBreaker:
        """The open circuit of a processor."""
        CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES, now=clock.now())
        return CircuitBreaker.objects.get()

    def test_shows_state_and_failures(
        self, operator: OperatorClient, breaker: CircuitBreaker
    ) -> None:
        page = text(operator.list(CircuitBreaker, state="not_closed"))
        assert '<span class="badge badge-open">OPEN</span>' in page
        assert f'<td class="field-failures">{conf.BREAKER_FAILURES}</td>' in page
        assert f"{breaker.opened_at:%Y-%m-%d %H:%M:%S}" in page
        assert operator.list(CircuitBreaker, state="CLOSED").context["cl"].result_count == 0

    def test_is_closed_with_a_reason(
        self, operator: OperatorClient, breaker: CircuitBreaker
    ) -> None:
        assert "Close: 1 circuit breaker." in operator.act("close", breaker, reason="they called")
        breaker.refresh_from_db()
        assert (breaker.state, breaker.failures) == ("CLOSED", 0)
        assert actions_told() == [("olga", "payments.circuit_breaker.close")]
        assert "is being called already" in operator.act("close", breaker)

    def test_withstands_and_refuses(
        self, operator: OperatorClient, breaker: CircuitBreaker
    ) -> None:
        withstands_hostile_terms(operator, CircuitBreaker)
        refuses_changes(operator, breaker)
