"""What counts as a difference between two traces of a story, and what does not."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.queries import Booked
from payflow.rebuild.comparison import LEDGER, TRAIL, Difference, Verdict, compare
from payflow.rebuild.traces import Trace

STORY = uuid4()
HELD, TAKEN, POSTED = (str(uuid4()) for _ in range(3))
SAID = json.dumps({"payload": {"amount": "2.50", "email": "a@b.example"}, "version": 1})
EVENTS = [
    (HELD, "Payment.Transaction.Authorised"),
    (TAKEN, "Payment.Transaction.Captured"),
    (POSTED, "Ledger.Entry.Posted"),
]


def entry(
    event_id: str, *amounts_minor: int, account: str = "bank:x:USD", kind: str = "AUTH"
) -> Booked:
    postings = tuple((account, amount_minor) for amount_minor in amounts_minor)
    return Booked(STORY, UUID(event_id), kind, postings, datetime(2026, 6, 1, tzinfo=UTC))


def trace(*entries: Booked, records: list[tuple[str, str]] | None = None) -> Trace:
    told = [(*record, SAID) for record in (EVENTS if records is None else records)]
    return Trace(STORY, EVENTS, list(entries), told)


def differences(running: Trace, rebuilt: Trace, *undelivered: tuple[str, str]) -> list[Difference]:
    verdict = Verdict()
    compare(running, rebuilt, verdict, undelivered=undelivered)
    return verdict.differences


class TestLedger:
    def test_is_the_same_in_any_order(self) -> None:
        ours = trace(entry(HELD, 5, -5), entry(TAKEN, 3, -3))
        assert differences(ours, trace(entry(TAKEN, -3, 3), entry(HELD, 5, -5))) == []

    @pytest.mark.parametrize(
        "other",
        [entry(HELD, 6, -6), entry(HELD, 5, -5, account="bank:y:USD"), entry(TAKEN, 5, -5)],
    )
    def test_differs_by_amount_account_and_event(self, other: Booked) -> None:
        found = differences(trace(entry(HELD, 5, -5)), trace(other))
        assert [one.found_in for one in found] == ["running"] * 2 + ["rebuilt"] * 2

    def test_differs_by_an_entry_that_is_there_twice(self) -> None:
        once, twice = trace(entry(HELD, 5)), trace(entry(HELD, 5), entry(HELD, 5))
        assert [one.found_in for one in differences(twice, once)] == ["running"]

    def test_does_not_ask_for_what_people_decided(self) -> None:
        assert differences(trace(entry(HELD, 5, -5, kind="ADJUSTMENT")), trace()) == []

    def test_does_not_ask_for_what_was_not_delivered(self) -> None:
        rebuilt = trace(entry(HELD, 5, -5))
        assert differences(trace(), rebuilt, (LEDGER, HELD)) == []
        assert len(differences(trace(), rebuilt, (TRAIL, HELD))) == 2


class TestTrail:
    def test_differs_by_a_record_and_by_its_type(self) -> None:
        renamed = [(HELD, "Payment.Transaction.Declined"), *EVENTS[1:]]
        (missing,) = differences(trace(records=EVENTS[1:]), trace())
        assert (missing.what, missing.found_in) == ("trail", "rebuilt")
        assert len(differences(trace(records=renamed), trace())) == 2

    @pytest.mark.parametrize(
        ("said", "members"),
        [
            ({"payload": {"amount": "9.99", "email": "a@b.example"}}, "payload.amount"),
            ({"payload": {"amount": 2.5, "email": "a@b.example"}}, "payload.amount"),
            ({"payload": {"amount": "2.50"}}, "payload.email"),
            (
                {"payload": {"email": "x", "amount": "1", "new": None}},
                "payload.amount, payload.email, payload.new",
            ),
            ({"version": 2}, "version"),
            ({"version": True}, "version"),
            ({"payload": None}, "payload"),
        ],
    )
    def test_differs_by_what_a_record_says(self, said: dict[str, Any], members: str) -> None:
        altered = json.dumps(json.loads(SAID) | said, sort_keys=True)
        ours = trace()
        ours.records[1] = (*EVENTS[1], altered)
        (found,) = differences(ours, trace())
        assert (found.what, found.found_in) == ("altered", "running")
        assert found.detail == f"event {TAKEN}  Payment.Transaction.Captured: {members}"
        assert "b.example" not in str(found)
        assert differences(ours, trace(), (TRAIL, TAKEN)) == []

    def test_differs_by_the_order_of_one_publisher(self) -> None:
        turned = [EVENTS[1], EVENTS[0], EVENTS[2]]
        (order,) = differences(trace(records=turned), trace())
        assert order.what == "order"

    def test_does_not_ask_for_an_order_between_publishers(self) -> None:
        turned = [EVENTS[2], EVENTS[0], EVENTS[1]]
        assert differences(trace(records=turned), trace()) == []


class TestVerdict:
    def test_keeps_the_first_differences_and_counts_all(self) -> None:
        verdict = Verdict(differences_kept=1)
        compare(trace(entry(HELD, 5, -5)), trace(), verdict)
        assert (len(verdict.differences), verdict.counts["differences"]) == (1, 2)
        assert not verdict.is_equal


class TestTrace:
    def test_travels_between_processes_unchanged(self) -> None:
        before = trace(entry(HELD, 5, -5))
        assert Trace.from_line(before.as_line()) == before
