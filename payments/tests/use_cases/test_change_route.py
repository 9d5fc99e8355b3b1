"""Changing where payments go: checked, told, followed by the next call."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from payments.models import Route
from payments.tests.conftest import NOW
from payments.use_cases.change_route import change_route
from shared.event_bus.operating import ReasonRequired
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

ACTION = "Operator.Action.Taken"


def change(route: Route, reason: str = "cheaper") -> None:
    change_route(route=route, actor="olga", reason=reason, now=NOW)


def new_route(**changes: Any) -> Route:
    facts = {
        "method_type": "CARD",
        "currency": "EUR",
        "priority": 5,
        "processor": "sandbox-backup",
    }
    return Route(**(facts | changes))


def next_processor(currency: str) -> str | None:
    usable = {"sandbox", "sandbox-backup"}
    return Route.objects.table().next_processor("CARD", currency, usable=usable, tried=())


class TestChangeRoute:
    def test_adds_one_that_the_next_call_follows(self) -> None:
        change(new_route())
        assert next_processor("EUR") == "sandbox-backup"
        assert next_processor("USD") == "sandbox"
        assert told(ACTION) == [
            {
                "actor": "olga",
                "action": "payments.route.add",
                "subject": "CARD EUR → sandbox-backup, priority 5, on",
                "reason": "cheaper",
            }
        ]

    def test_tells_what_it_was_and_what_it_is(self) -> None:
        route = Route.objects.get(processor="sandbox")
        route.priority, route.is_active = 30, False
        change(route)
        assert next_processor("USD") == "sandbox-backup"
        (action,) = told(ACTION)
        assert action["action"] == "payments.route.change"
        assert action["subject"] == (
            "CARD any currency → sandbox, priority 10, on"
            " → CARD any currency → sandbox, priority 30, off"
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"processor": "nobody"},
            {"processor": ""},
            {"currency": "XXX"},
            {"currency": "eur"},
            {"method_type": "CASH"},
            {"priority": -1},
            {"currency": "", "processor": "sandbox"},
        ],
        ids=str,
    )
    def test_refuses_what_would_not_work(self, wrong: dict[str, Any]) -> None:
        before = Route.objects.count()
        with pytest.raises(ValidationError):
            change(new_route(**wrong))
        assert Route.objects.count() == before
        assert told(ACTION) == []

    def test_puts_out_of_use_one_whose_processor_is_gone(self) -> None:
        Route.objects.filter(processor="sandbox").update(processor="closed-down")
        route = Route.objects.get(processor="closed-down")
        route.is_active = False
        change(route)
        assert not Route.objects.get(pk=route.pk).is_active

    def test_changes_nothing_without_a_reason(self) -> None:
        with pytest.raises(ReasonRequired):
            change(new_route(), reason=" ")
        assert not Route.objects.filter(currency="EUR").exists()

    def test_adds_one_of_two_that_come_at_once(self) -> None:
        def attempt() -> str:
            try:
                change(new_route())
            except (ValidationError, IntegrityError):
                return "refused"
            return "added"

        assert sorted(race([attempt, attempt])) == ["added", "refused"]
        assert Route.objects.filter(currency="EUR").count() == 1
        assert len(told(ACTION)) == 1
