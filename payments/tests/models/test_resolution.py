"""Resolutions: rows that say who agreed with whom."""

from collections.abc import Callable
from typing import Any

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.models import Resolution
from payments.tests.conftest import NOW, payment_in, planned
from shared.models import AlreadyDecided, TakesTwoPeople
from shared.testing.refusals import constraint_names, refused_state, violated

pytestmark = pytest.mark.django_db


def proposal(**facts: Any) -> Resolution:
    """An open proposal for an operation of its own."""
    operation = facts.pop("operation", None) or planned(payment_in(PaymentStatus.PENDING))
    asked: dict[str, Any] = {
        "by": "olga",
        "now": NOW,
        "verdict": "FAILED",
        "reason": "their support says so",
    }
    return Resolution.propose(operation, **(asked | facts))


class TestResolution:
    def test_refuses_what_its_constraints_name(self) -> None:
        one = proposal()

        def change(**columns: Any) -> Callable[[], int]:
            return lambda: Resolution.objects.filter(pk=one.pk).update(**columns)

        decided = {"decided_by": "oscar", "decided_at": NOW}
        breaks: list[tuple[str, Callable[[], object]]] = [
            ("resolution_verdict_is_known", change(verdict="PASSED_ON")),
            ("resolution_state_is_known", change(state="LOST", **decided)),
            ("resolution_decided_by_somebody", change(state="CONFIRMED")),
            ("resolution_decided_by_somebody", change(state="REJECTED", decided_at=NOW)),
            ("resolution_decided_by_somebody", change(decided_by="oscar")),
            (
                "resolution_takes_two_people",
                change(state="CONFIRMED", decided_by="olga", decided_at=NOW),
            ),
            ("resolution_one_at_a_time", lambda: proposal(operation=one.operation)),
        ]
        for name, way in breaks:
            assert violated(way) == name
        assert {name for name, _ in breaks} == constraint_names(Resolution)

    def test_can_follow_one_that_was_decided(self) -> None:
        first = proposal()
        first.reject(by="olga", now=NOW)
        first.keep_decision()
        assert proposal(operation=first.operation).is_open

    def test_takes_two_people_to_confirm_and_one_to_reject(self) -> None:
        one = proposal()
        with pytest.raises(TakesTwoPeople):
            one.confirm(by="olga", now=NOW)
        one.confirm(by="oscar", now=NOW)
        one.keep_decision()
        one.refresh_from_db()
        assert (one.state, one.decided_by, one.decided_at) == ("CONFIRMED", "oscar", NOW)
        for decide in (one.confirm, one.reject):
            with pytest.raises(AlreadyDecided):
                decide(by="oscar", now=NOW)

    def test_stays_as_evidence(self) -> None:
        one = proposal()
        assert refused_state(Resolution.objects.filter(pk=one.pk).delete) == "42501"
