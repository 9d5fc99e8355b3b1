"""Proposing what became of an operation: only where its processor does not answer."""

from typing import Any

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Resolution, Verdict
from payments.tests.conftest import NOW, claimed, payment_in, planned, refusal_of
from payments.tests.use_cases.test_capture_payment import capture
from payments.use_cases.propose_resolution import propose_resolution
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

TAKEN = "Operator.Action.Taken"


def propose(operation: Operation, verdict: str = "FAILED", **changes: Any) -> Resolution:
    facts: dict[str, Any] = {
        "actor": "olga",
        "reason": "their support says so",
        "now": NOW,
    } | changes
    return propose_resolution(operation_id=operation.pk, verdict=Verdict(verdict), **facts)


def doubtful(**facts: Any) -> Operation:
    """A capture that its processor does not answer for."""
    unknown = {"outcome": "UNKNOWN", "sends": 1, "ended": 1}
    return claimed(capture(payment_in(PaymentStatus.AUTHORISED)), **(unknown | facts))


class TestProposeResolution:
    def test_stores_and_tells_and_changes_nothing_else(self) -> None:
        operation = doubtful()
        before = Operation.objects.values().get()
        resolution = propose(operation)
        assert Resolution.objects.get() == resolution
        assert (resolution.verdict, resolution.proposed_by, resolution.state) == (
            "FAILED",
            "olga",
            "OPEN",
        )
        assert Operation.objects.values().get() == before
        (event,) = told(TAKEN)
        assert (event["action"], event["subject"], event["actor"]) == (
            "payments.resolution.propose_failed",
            str(operation.pk),
            "olga",
        )

    @pytest.mark.parametrize(
        ("facts", "code"),
        [
            ({"outcome": "UNKNOWN"}, ""),
            ({"outcome": "PENDING"}, ""),
            ({"outcome": "", "due_at": None, "parked_at": NOW}, ""),
            ({"outcome": "NOT_SENT"}, "operation_not_in_doubt"),
            ({"outcome": ""}, "operation_not_in_doubt"),
            ({"outcome": "UNKNOWN", "verdict": "FAILED"}, "operation_not_in_doubt"),
            ({"outcome": "APPROVED", "verdict": "APPROVED"}, "operation_not_in_doubt"),
        ],
    )
    def test_takes_only_what_is_in_doubt_or_parked(self, facts: dict[str, Any], code: str) -> None:
        operation = doubtful(**facts)
        assert refusal_of(lambda: propose(operation)) == code
        assert Resolution.objects.exists() is not bool(code)
        assert bool(told(TAKEN)) is not bool(code)

    def test_needs_the_reference_of_a_hold_that_was_made(self) -> None:
        hold = claimed(planned(payment_in(PaymentStatus.PENDING)), outcome="UNKNOWN")
        assert refusal_of(lambda: propose(hold, "APPROVED")) == "reference_required"
        assert propose(hold, "APPROVED", processor_reference="ref-7").processor_reference == "ref-7"
        assert propose(doubtful(), "APPROVED").processor_reference == ""

    def test_needs_a_reason(self) -> None:
        operation = doubtful()
        assert refusal_of(lambda: propose(operation, reason=" ")) == "reason_required"
        assert not Resolution.objects.exists()

    def test_is_made_once_at_a_time(self) -> None:
        operation = doubtful()
        codes = race([lambda: refusal_of(lambda: propose(operation))] * 6)
        assert sorted(codes) == [""] + ["already_proposed"] * 5
        assert len(told(TAKEN)) == Resolution.objects.count() == 1
