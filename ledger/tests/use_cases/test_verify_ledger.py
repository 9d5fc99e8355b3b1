"""Verifying: every finding is returned and logged."""

import pytest
from structlog.testing import capture_logs

from ledger.models import Account
from ledger.tests.conftest import authorised, post
from ledger.use_cases.verify_ledger import verify_ledger

pytestmark = pytest.mark.django_db


class TestVerifyLedger:
    def test_says_nothing_of_good_books(self) -> None:
        post(authorised())
        with capture_logs() as logs:
            assert verify_ledger() == []
        assert logs == []

    def test_logs_every_finding_as_an_error(self) -> None:
        post(authorised())
        Account.objects.update(balance_minor=7)
        with capture_logs() as logs:
            findings = verify_ledger()
        assert [finding.what for finding in findings] == ["balance", "balance", "trial balance"]
        assert [(line["log_level"], line["where"]) for line in logs] == [
            ("error", finding.where) for finding in findings
        ]
