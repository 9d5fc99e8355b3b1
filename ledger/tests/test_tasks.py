"""What the clock asks of the module."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from ledger.models import Account
from ledger.tests.conftest import authorised, post
from shared.event_bus.schedule import jobs, run_job

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 6, 1, 3, 0, 5, tzinfo=UTC)


class TestVerifyEveryNight:
    def test_is_due_at_three(self) -> None:
        slot = jobs["ledger.verify"].schedule.slot(NIGHT)
        assert slot == datetime(2026, 6, 1, 3, tzinfo=UTC)

    def test_verifies_once_a_night(self) -> None:
        post(authorised())
        Account.objects.update(balance_minor=7)
        with capture_logs() as logs:
            assert run_job("ledger.verify", NIGHT)
            assert not run_job("ledger.verify", NIGHT)
        assert len([line for line in logs if line["log_level"] == "error"]) == 3
