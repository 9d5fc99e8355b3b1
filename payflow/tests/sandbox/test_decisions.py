"""Decisions are a function of what is asked and what is held."""

from dataclasses import replace

import pytest

from payflow.sandbox.decisions import REFUSALS, change, decide
from payflow.sandbox.order import Authorisation, Kind, Order, Status

HELD = Authorisation(1, "auth_1", "sandbox", "k", "p", 1000, "USD", "", Status.APPROVED)


def asked(kind: Kind, amount: int = 0) -> Order:
    return Order("sandbox", kind, "key", "print", amount, "USD", is_final=False)


class TestWalk:
    def test_no_walk_takes_or_gives_back_too_much(self) -> None:
        """All 3,125 walks of five steps over one hold."""
        steps = [asked(Kind.CAPTURE, 600), asked(Kind.CAPTURE, 400), asked(Kind.VOID)]
        steps += [asked(Kind.REFUND, 500), replace(asked(Kind.CAPTURE, 1), is_final=True)]
        holds = {HELD}
        seen = set()
        for _ in range(5):
            after = set()
            for hold in holds:
                for step in steps:
                    decision = decide(step, hold, None, 1)
                    seen.add(decision.reason)
                    after.add(change(hold, step, decision))
            holds = after
            for hold in holds:
                assert 0 <= hold.refunded_minor <= hold.captured_minor <= hold.amount_minor
                assert 0 <= hold.remaining_minor <= hold.amount_minor - hold.captured_minor
        assert seen - {""} == REFUSALS - {"authorisation_not_found", "currency_mismatch"}

    def test_a_decline_changes_nothing(self) -> None:
        order = asked(Kind.CAPTURE, 1001)
        assert change(HELD, order, decide(order, HELD, None, 1)) is HELD


@pytest.mark.parametrize("status", [Status.PENDING, Status.DECLINED])
def test_what_is_not_held_is_not_found(status: Status) -> None:
    for kind in (Kind.CAPTURE, Kind.VOID, Kind.REFUND):
        decision = decide(asked(kind, 1), replace(HELD, status=status), None, 1)
        assert decision.reason == "authorisation_not_found"
