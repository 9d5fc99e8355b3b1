"""The torture's judge: silent about what is right, and what it must find when something gave."""

from collections import Counter
from typing import Any

import pytest

from payflow.runtime.torture.client import Demand
from payflow.runtime.torture.evidence import Evidence, Row
from payflow.runtime.torture.judge import Findings, judge
from payflow.runtime.torture.verdict import Verdict

PAYMENT, STORY = "payment-1", "story-1"
TRAIL = [
    "Payment.Transaction.Initiated",
    "Fraud.Assessment.Completed",
    "Payment.Transaction.Authorised",
    "Payment.Transaction.Captured",
]


def sound() -> Evidence:
    """A payment that was authorised and captured, its capture asked for twice: as it should be."""
    paid = Demand("/payments", {}, key="key-1", status=202, document={"paymentId": PAYMENT})
    path = f"/payments/{PAYMENT}/capture"
    captured = Demand(path, {}, key="key-2", status=200, errors=Counter({"connection lost": 1}))
    return Evidence(
        demands=[paid, captured],
        book=[line("AUTHORISE", "operation-1"), line("CAPTURE", "operation-2")],
        payments=[
            {
                "id": PAYMENT,
                "key": "key-1",
                "status": "CAPTURED",
                "story": STORY,
                "authorised_minor": 1000,
                "captured_minor": 1000,
                "released_minor": 0,
                "refunded_minor": 0,
                "reserved_minor": 0,
            }
        ],
        operations=[
            {"id": "operation-1", "payment_id": PAYMENT, "key": None, "kind": "AUTHORISE"},
            {"id": "operation-2", "payment_id": PAYMENT, "key": "key-2", "kind": "CAPTURE"},
        ],
        assessments=[{"payment_id": PAYMENT}],
        entries=[about(2, entry_type="AUTH"), about(3, entry_type="CAPTURE")],
        messages=[about(2, template="authorised"), about(3, template="captured")],
        events=[
            about(number, sequence=number, event_type=kind, subject=PAYMENT)
            for number, kind in enumerate(TRAIL)
        ],
        records=[about(number, event_type=kind) for number, kind in enumerate(TRAIL)],
    )


def about(number: int, **columns: Any) -> Row:
    return {"event_id": f"event-{number}", "story": STORY} | columns


def line(kind: str, key: str, **changes: Any) -> Row:
    columns = {"merchantReference": PAYMENT, "key": key, "amountMinor": 1000, "status": "APPROVED"}
    return {"kind": kind} | columns | changes


class TestJudge:
    def test_is_silent_about_what_is_right(self) -> None:
        assert list(judge(sound())) == []

    def test_knows_the_amounts_of_the_book(self) -> None:
        evidence = sound()
        evidence.payments[0]["captured_minor"] = 999
        assert judge(evidence).unbalanced == [
            f"CAPTURE of {PAYMENT}: we say 999, the acquirer 1000"
        ]


class TestLost:
    @pytest.mark.parametrize(
        ("rows", "index", "told"),
        [
            ("payments", 0, "acknowledged and is not there"),
            ("operations", 1, "acknowledged and is not there"),
            ("records", 1, "is not in the trail"),
            ("messages", 0, "was not told to the merchant"),
            ("entries", 1, "is not in the ledger"),
            ("assessments", 0, "was not assessed"),
        ],
    )
    def test_is_found_wherever_a_row_is_missing(self, rows: str, index: int, told: str) -> None:
        evidence = sound()
        del getattr(evidence, rows)[index]
        assert any(told in text for text in judge(evidence).lost)

    def test_is_what_was_acknowledged_under_another_id(self) -> None:
        evidence = sound()
        evidence.payments[0]["id"] = "payment-2"
        assert judge(evidence).lost

    def test_is_what_was_never_decided(self) -> None:
        evidence = sound()
        evidence.payments[0]["status"] = "PENDING"
        assert any("never decided" in text for text in judge(evidence).lost)


class TestDoubled:
    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ("payments", "2 payments under key key-1"),
            ("operations", "2 operations under key key-2"),
            ("assessments", f"2 assessments of {PAYMENT}"),
            ("entries", "2 entries of event-3 CAPTURE"),
            ("messages", "2 messages about event-3 captured"),
            ("events", f"2 events of {PAYMENT} Payment.Transaction.Captured"),
            ("records", "2 records of event-3"),
            ("book", "2 lines in the acquirer's book under operation-2"),
        ],
    )
    def test_is_found_wherever_a_row_is_there_twice(self, rows: str, told: str) -> None:
        evidence = sound()
        found = getattr(evidence, rows)
        found.append(dict(found[-1]))
        assert told in judge(evidence).doubled

    def test_is_a_second_hold_under_another_key(self) -> None:
        evidence = sound()
        evidence.book.append(line("AUTHORISE", "operation-3"))
        assert f"2 holds in the acquirer's book of {PAYMENT}" in judge(evidence).doubled

    def test_is_an_event_published_again_under_another_id(self) -> None:
        evidence = sound()
        evidence.events.append(evidence.events[-1] | {"event_id": "event-9", "sequence": 9})
        assert any("2 events of" in text for text in judge(evidence).doubled)


class TestDisordered:
    @pytest.mark.parametrize("rows", ["records", "entries", "messages"])
    def test_is_found_in_every_listeners_effects(self, rows: str) -> None:
        evidence = sound()
        getattr(evidence, rows).reverse()
        assert judge(evidence).disordered

    def test_is_about_one_publisher_only(self) -> None:
        evidence = sound()
        fraud = evidence.records.pop(1)
        evidence.records.append(fraud)
        assert judge(evidence).disordered == []

    def test_is_about_one_story_only(self) -> None:
        evidence = sound()
        for row in (evidence.records[0], evidence.events[0]):
            row["story"] = "story-2"
        evidence.records.append(evidence.records.pop(0))
        assert judge(evidence).disordered == []


class TestUnfinished:
    def test_is_a_request_without_an_answer(self) -> None:
        evidence = sound()
        evidence.demands.append(Demand("/payments", {}))
        assert any("never answered" in text for text in judge(evidence).unfinished)

    def test_is_a_request_that_was_refused_in_the_end(self) -> None:
        evidence = sound()
        refusal = {"code": "already_captured"}
        evidence.demands[1].status, evidence.demands[1].document = 409, refusal
        assert any("refused: 409 already_captured" in text for text in judge(evidence).unfinished)

    def test_is_what_was_parked(self) -> None:
        evidence = sound()
        evidence.outstanding.append(
            {"kind": "publication", "what": "ledger.post_movements #3", "attempts": 25}
            | {"parked": True, "last_error": "claimed 25 times without an end"}
        )
        (told,) = judge(evidence).unfinished
        assert "is parked after 25 claims claimed 25 times without an end" in told


class TestVerdict:
    def verdict(self, **changes: Any) -> Verdict:
        facts: dict[str, Any] = {
            "faults": Counter(web=2, postgres=1),
            "acknowledged": Counter(payments=3),
            "errors": Counter({"connection lost": 4}),
            "drained": {"publications": 3.0, "operations": 39.0, "messages": 300.0},
            "leases_cut": False,
        }
        return Verdict(**facts | changes)

    def test_holds_when_nothing_gave_and_all_was_drained_in_time(self) -> None:
        verdict = self.verdict()
        assert verdict.held
        assert "2 (web 2)" in verdict.table()
        assert "all resolved by retrying" in verdict.table()

    @pytest.mark.parametrize(
        "changes",
        [
            {"findings": Findings(lost=["x"])},
            {"findings": Findings(doubled=["x"])},
            {"findings": Findings(disordered=["x"])},
            {"findings": Findings(unbalanced=["x"])},
            {"findings": Findings(unfinished=["x was never answered"])},
            {"drained": {"publications": 10.1}},
            {"drained": {"operations": 40.1}},
            {"drained": {"messages": 310.1}},
            {"drained": {"messages": 10.1}, "leases_cut": True},
        ],
    )
    def test_does_not_hold_otherwise(self, changes: dict[str, Any]) -> None:
        verdict = self.verdict(**changes)
        assert not verdict.held
        assert ("x" in verdict.table()) or ("were drained after" in verdict.table())
