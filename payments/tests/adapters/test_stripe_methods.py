"""Stripe's own test methods against the sandbox's Stripe face, and payers who must be asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from payments.domain.processor import LAPSED, Card, Instruction, ProcessorToken
from payments.tests.adapters.conftest import Sandbox
from payments.tests.adapters.rails import APPROVED, DECLINED, PENDING, STRIPE

CARD_NUMBER = "4000000000009995"


@pytest.mark.usefixtures("sandbox")
class TestStripesOwnMethods:
    @pytest.mark.parametrize(
        ("method", "kind"),
        [
            ("pm_card_visa", APPROVED),
            ("pm_card_visa_chargeDeclined", DECLINED),
            ("pm_card_chargeDeclinedInsufficientFunds", DECLINED),
            ("tok_visa", APPROVED),
            ("tok_chargeDeclined", DECLINED),
            ("pm_nobody_knows", DECLINED),
        ],
    )
    def test_decide(self, method: str, kind: Any) -> None:
        assert STRIPE.send(STRIPE.wanted(instrument=ProcessorToken(method))).kind == kind

    def test_numbers_show_nowhere(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level("DEBUG")
        wanted = STRIPE.wanted(instrument=Card(CARD_NUMBER, 1, 2034))
        outcome = STRIPE.send(wanted)
        assert outcome.reason == "insufficient_funds"
        shown = [repr(wanted), repr(outcome), caplog.text, *capfd.readouterr()]
        assert caplog.records, "something was logged at this level"
        assert not [text for text in shown if CARD_NUMBER in text]


class TestPayersWhoMustBeAsked:
    def _wanted(self) -> Instruction:
        method = ProcessorToken("pm_card_authenticationRequired")
        return STRIPE.wanted(instrument=method, return_url="https://shop.example/back")

    @pytest.mark.usefixtures("sandbox")
    def test_are_redirected(self) -> None:
        wanted = self._wanted()
        outcome = STRIPE.send(wanted)
        assert (outcome.kind, bool(outcome.redirect)) == (PENDING, True)
        assert STRIPE.ask(wanted) == outcome

    def test_and_given_up_when_they_never_come(self, sandbox: Sandbox) -> None:
        wanted = self._wanted()
        assert STRIPE.send(wanted).kind == PENDING
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1, seconds=5), tick=True):
            outcome = STRIPE.ask(wanted)
        assert outcome.kind == DECLINED
        assert outcome.reason in LAPSED
        assert STRIPE.ask(wanted) == outcome, "the intent is cancelled: it cannot come to life"
        assert sandbox.approved(wanted.operation_id) == []
