"""The hammer's judge: what it must find when a guard fails, and that it is silent otherwise."""

from typing import Any

import pytest

from payflow.runtime.hammer.hammer import Verdict
from payflow.runtime.hammer.oracle import Oracle

PAYMENT = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11"


def line(kind: str, amount_minor: int, status: str = "APPROVED") -> dict[str, Any]:
    return {
        "merchantReference": PAYMENT,
        "kind": kind,
        "amountMinor": amount_minor,
        "status": status,
    }


def payment(**changes: Any) -> dict[str, Any]:
    """Authorised 100.00, captured 60.00, released the rest, refunded 20.00: as it should be."""
    return {
        "paymentId": PAYMENT,
        "authorisedAmount": "100.00",
        "capturedAmount": "60.00",
        "refundedAmount": "20.00",
        "ledgerBalance": "40.00",
        "ledgerEntries": [
            {"type": "AUTH", "amount": "100.00"},
            {"type": "CAPTURE", "amount": "60.00"},
            {"type": "RELEASE", "amount": "40.00"},
            {"type": "REFUND", "amount": "20.00"},
        ],
    } | changes


BOOK = [line("AUTHORISE", 10_000), line("CAPTURE", 6_000), line("REFUND", 2_000)]


class TestOracle:
    def test_is_silent_about_what_is_right(self) -> None:
        assert Oracle(BOOK).problems(payment()) == []

    @pytest.mark.parametrize(
        ("extra", "ours", "told"),
        [
            (line("CAPTURE", 6_000), {"capturedAmount": "120.00"}, "captured more than was"),
            (line("REFUND", 6_000), {"refundedAmount": "80.00"}, "refunded more than was"),
            (line("VOID", 10_000), {}, "released twice, or what was captured"),
            (line("CAPTURE", 1), {}, "CAPTURE: we say 6000, the acquirer 6001"),
            (line("AUTHORISE", 10_000), {}, "AUTHORISE: we say 10000, the acquirer 20000"),
        ],
    )
    def test_finds_what_the_acquirer_did_beyond(
        self, extra: dict[str, Any], ours: dict[str, Any], told: str
    ) -> None:
        problems = Oracle([*BOOK, extra]).problems(payment(**ours))
        assert any(told in problem for problem in problems), problems

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ({"type": "VOID", "amount": "40.00"}, "released more than once"),
            ({"type": "CAPTURE", "amount": "60.00"}, "more left its hold than was in it"),
            ({"type": "REFUND", "amount": "20.00"}, "balance is not captured minus refunded"),
            ({"type": "AUTH", "amount": "100.00"}, "its hold is not in the ledger"),
        ],
    )
    def test_finds_what_the_ledger_says_beyond(self, entry: dict[str, str], told: str) -> None:
        seen = payment()
        seen["ledgerEntries"].append(entry)
        problems = Oracle(BOOK).problems(seen)
        assert any(told in problem for problem in problems), problems

    def test_counts_what_the_acquirer_had_to_refuse(self) -> None:
        declined = [line("CAPTURE", 6_000, "DECLINED"), line("AUTHORISE", 10_000, "DECLINED")]
        assert Oracle([*BOOK, *declined]).refused == 1


class TestVerdict:
    def test_holds_when_nothing_went_wrong_in_true_races(self) -> None:
        verdict = Verdict()
        verdict.rounds["refund ‖ refund"], verdict.overlapping["refund ‖ refund"] = 10, 5
        assert verdict.held

    @pytest.mark.parametrize(
        "changes", [{"problems": ["x"]}, {"refused_by_acquirer": 1}, {"overlap": 4}]
    )
    def test_does_not_hold_otherwise(self, changes: dict[str, Any]) -> None:
        verdict = Verdict(
            problems=changes.get("problems", []),
            refused_by_acquirer=changes.get("refused_by_acquirer", 0),
        )
        verdict.rounds["refund ‖ refund"] = 10
        verdict.overlapping["refund ‖ refund"] = changes.get("overlap", 5)
        assert not verdict.held
