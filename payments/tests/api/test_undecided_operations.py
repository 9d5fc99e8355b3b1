"""Captures, voids and refunds that are not decided yet: 202, in doubt or merely under way."""

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.tests.api.conftest import answered, ask, payment_of
from payments.tests.api.test_operations import DONE, VERBS
from payments.tests.conftest import FakeProcessor, loaded, run
from shared.testing.api import refused
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

S = PaymentStatus


class TestUndecided:
    @pytest.mark.parametrize("verb", VERBS)
    def test_is_202_until_it_is_decided_and_then_what_was_seen_first(
        self, merchant: SigningClient, processor: FakeProcessor, verb: str
    ) -> None:
        payment = payment_of(merchant, VERBS[verb])
        again = partial(ask, merchant, payment, verb, wait=0, idempotencyKey=f"key-{uuid4()}")
        for _ in range(2):
            answer = again()
            assert answer.status_code == 202
            assert answer.json()["status"] == ("PENDING" if verb == "refund" else payment.status)
            assert "Idempotent-Replayed" not in answer.headers
        run()
        assert loaded(payment).status == DONE[verb]
        told = [again() for _ in range(2)]
        assert [answer.status_code for answer in told] == [200, 200]
        assert told[0].content == told[1].content
        assert told[0].json()["status"] == DONE[verb]
        assert told[1].headers["Idempotent-Replayed"] == "true"
        assert processor.verbs() == [verb]

    @pytest.mark.parametrize("verb", VERBS)
    def test_is_in_doubt_when_its_outcome_is_unknown_and_not_while_it_is_under_way(
        self, merchant: SigningClient, processor: FakeProcessor, verb: str
    ) -> None:
        payment = payment_of(merchant, VERBS[verb])
        again = partial(ask, merchant, payment, verb, wait=0, idempotencyKey=f"key-{uuid4()}")
        address = f"/payments/{payment.pk}"
        under_way: list[bool] = []
        processor.while_asked = lambda: under_way.append(doubt_in(again()))
        assert doubt_in(again()) is False
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)]
        run()
        assert under_way == [False]
        processor.while_asked = lambda: None
        assert doubt_in(again()) is True
        assert merchant.get(address).json()["inDoubt"] is True
        processor.answers = [Outcome(OutcomeKind.PENDING)]
        run()
        assert (again().status_code, doubt_in(again())) == (202, False)
        run()
        assert (again().status_code, doubt_in(again())) == (200, False)
        assert merchant.get(address).json()["inDoubt"] is False

    def test_shows_with_the_payment_and_the_balance(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.CAPTURED)
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)] * 100
        answer = answered(lambda: ask(merchant, payment, "refund", amount="60.00"))
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        assert merchant.get(f"/payments/{payment.pk}").json()["inDoubt"] is True
        refused(ask(merchant, payment, "refund", amount="60.00"), 409, "refund_exceeds_captured")
        assert ask(merchant, payment, "refund", amount="40.00").status_code == 202


def doubt_in(answer: Any) -> bool:
    """Whether an answer says that an outcome is unknown; refunds say so only when it is."""
    return bool(answer.json().get("inDoubt", False))
