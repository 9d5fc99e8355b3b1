"""Turning a proposed resolution down: anybody may, with a reason."""

import pytest

from payments.models import Operation, Resolution
from payments.tests.conftest import NOW, refusal_of
from payments.tests.use_cases.test_confirm_resolution import TAKEN, confirm
from payments.tests.use_cases.test_propose_resolution import doubtful, propose
from payments.use_cases.reject_resolution import reject_resolution
from shared.testing.events import told

pytestmark = pytest.mark.django_db


def reject(resolution: Resolution, by: str = "oscar", reason: str = "wrong one") -> None:
    reject_resolution(resolution_id=resolution.pk, actor=by, reason=reason, now=NOW)


class TestRejectResolution:
    @pytest.mark.parametrize("by", ["olga", "oscar"])
    def test_has_no_effect_but_to_make_room(self, by: str) -> None:
        operation = doubtful()
        before = Operation.objects.values().get()
        resolution = propose(operation)
        reject(resolution, by)
        resolution.refresh_from_db()
        assert (resolution.state, resolution.decided_by) == ("REJECTED", by)
        assert Operation.objects.values().get() == before
        assert told(TAKEN)[-1]["action"] == "payments.resolution.reject"
        assert refusal_of(lambda: confirm(resolution)) == "already_decided"
        assert refusal_of(lambda: reject(resolution)) == "already_decided"
        assert propose(operation).is_open

    def test_needs_a_reason(self) -> None:
        resolution = propose(doubtful())
        assert refusal_of(lambda: reject(resolution, reason="")) == "reason_required"
        resolution.refresh_from_db()
        assert resolution.is_open
