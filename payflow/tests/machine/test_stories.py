"""Lives that a random walk meets rarely, told step by step; the auditor judges each of them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from payflow.tests.machine.calls import CAPTURE, REFUND, VOID
from payflow.tests.machine.commands import (
    START,
    Ask,
    Assess,
    Cancel,
    Expire,
    Initiate,
    Reply,
    Run,
    Wait,
)
from payflow.tests.machine.ground import prepared
from payflow.tests.machine.machine import Machine
from payflow.tests.machine.processor import Answer

pytestmark = pytest.mark.django_db

APPROVED = Answer("APPROVED", True)
NOT_SENT = Answer("NOT_SENT", False)
NOT_SENT_THEY_SAY = Answer("NOT_SENT", True)
UNKNOWN = Answer("UNKNOWN", False)
DECLINED = Answer("DECLINED", True)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    with prepared(machine.world):
        yield machine
        if not machine.is_lost:
            machine.audit()
            machine.audit_ledger()


def run(machine: Machine, *answers: Answer, call: int = -1) -> None:
    for answer in answers:
        number = call % len(machine.lives[0].calls)
        machine.do(Run((Reply(0, number, answer),)))


def authorised(machine: Machine, **terms: object) -> None:
    machine.do(Initiate(0, "key-0", 10_000, "USD", **terms))  # type: ignore[arg-type]
    machine.do(Assess(0, "APPROVE"))
    run(machine, APPROVED)


def ask(
    machine: Machine, kind: str, amount: int | None = None, *, final: bool = True, dry: bool = False
) -> None:
    machine.do(Ask(0, kind, f"key-{machine.steps}", amount, is_final=final, is_dry=dry))


class TestRepeats:
    def test_are_told_how_it_stands_and_then_the_decision_that_was_seen_first(
        self, machine: Machine
    ) -> None:
        through_the_door = Initiate(0, "key-0", 10_000, "USD", through_door=True)
        machine.do(through_the_door)
        machine.do(through_the_door)
        machine.do(Assess(0, "REVIEW"))
        machine.do(through_the_door)
        machine.do(Assess(0, "APPROVE", is_review=True))
        run(machine, UNKNOWN)
        machine.do(through_the_door)
        run(machine, APPROVED)
        machine.do(through_the_door)
        ask(machine, VOID)
        run(machine, APPROVED)
        machine.do(through_the_door)
        assert machine.stored == {(0, "key-0"): "AUTHORISED"}


class TestDryRuns:
    def test_see_that_a_capture_in_flight_keeps_its_part_of_the_hold(
        self, machine: Machine
    ) -> None:
        authorised(machine)
        ask(machine, CAPTURE, 3_000, final=False)
        ask(machine, CAPTURE, 2_000, final=True, dry=True)


class TestCapturesAtOnce:
    def test_do_not_come_when_the_time_of_the_hold_is_over_already(self, machine: Machine) -> None:
        machine.do(
            Initiate(
                0,
                "key-0",
                10_000,
                "USD",
                captures_at_once=True,
                capture_before=START + timedelta(hours=1),
            )
        )
        machine.do(Assess(0, "APPROVE"))
        run(machine, UNKNOWN)
        machine.do(Wait(2))
        run(machine, APPROVED)
        machine.do(Expire())
        run(machine, APPROVED)

    def test_are_over_when_refused_whatever_is_captured_later(self, machine: Machine) -> None:
        taken = Initiate(0, "key-0", 10_000, "USD", captures_at_once=True, through_door=True)
        machine.do(taken)
        machine.do(Assess(0, "APPROVE"))
        run(machine, APPROVED)
        machine.do(taken)
        assert machine.stored == {}
        run(machine, DECLINED)
        ask(machine, CAPTURE, 3_000, final=False)
        machine.do(taken)
        assert machine.stored == {(0, "key-0"): "AUTHORISED"}


class TestLateSuccess:
    def test_of_a_final_capture_leaves_other_captures_their_part(self, machine: Machine) -> None:
        authorised(machine)
        ask(machine, CAPTURE, 6_000)
        run(machine, NOT_SENT, NOT_SENT, NOT_SENT, NOT_SENT, NOT_SENT_THEY_SAY)
        ask(machine, CAPTURE, 2_000, final=False)
        run(machine, APPROVED, call=1)
        run(machine, APPROVED, call=2)

    def test_of_two_captures_is_reversed_twice(self, machine: Machine) -> None:
        authorised(machine)
        for call in (1, 2):
            ask(machine, CAPTURE, 1_000 * call)
            run(machine, *[NOT_SENT] * 4, NOT_SENT_THEY_SAY, call=call)
        ask(machine, VOID)
        run(machine, APPROVED, call=3)
        run(machine, APPROVED, call=1)
        run(machine, APPROVED, call=2)
        run(machine, APPROVED, call=4)
        run(machine, APPROVED, call=5)

    def test_is_reversed_and_not_booked_when_there_is_room_again(self, machine: Machine) -> None:
        authorised(machine)
        ask(machine, CAPTURE, 6_000, final=False)
        run(machine, *[NOT_SENT] * 4, NOT_SENT_THEY_SAY)
        ask(machine, CAPTURE, 8_000, final=False)
        run(machine, APPROVED, call=1)
        run(machine, Answer("DECLINED", False), call=2)
        run(machine, APPROVED, call=1)
        run(machine, APPROVED, call=3)

    def test_of_an_authorisation_is_reversed_once_however_often_it_is_heard(
        self, machine: Machine
    ) -> None:
        machine.do(Initiate(0, "key-0", 10_000, "USD"))
        machine.do(Assess(0, "APPROVE"))
        run(machine, *[NOT_SENT] * 4, NOT_SENT_THEY_SAY)
        run(machine, APPROVED, APPROVED, call=0)
        run(machine, APPROVED, call=1)

    def test_of_a_refund_waits_for_room(self, machine: Machine) -> None:
        authorised(machine)
        ask(machine, CAPTURE)
        run(machine, APPROVED)
        ask(machine, REFUND, 6_000)
        run(machine, *[NOT_SENT] * 4, NOT_SENT_THEY_SAY)
        ask(machine, REFUND, 8_000)
        run(machine, APPROVED, call=2)
        run(machine, Answer("DECLINED", False), call=3)
        run(machine, APPROVED, call=2)


class TestExpiry:
    def test_waits_for_a_capture_in_flight(self, machine: Machine) -> None:
        authorised(machine)
        ask(machine, CAPTURE, 6_000, final=False)
        machine.do(Wait(7 * 24))
        machine.do(Expire())
        run(machine, APPROVED)
        machine.do(Expire())
        run(machine, Answer("DECLINED", False))


class TestCancelling:
    def test_what_waits_for_review_leaves_a_later_review_nothing(self, machine: Machine) -> None:
        machine.do(Initiate(0, "key-0", 10_000, "USD"))
        machine.do(Assess(0, "REVIEW"))
        machine.do(Cancel(0, "key-0", "key-1"))
        machine.do(Assess(0, "APPROVE", is_review=True))

    def test_in_doubt_voids_what_turns_out_to_be_held(self, machine: Machine) -> None:
        machine.do(Initiate(0, "key-0", 10_000, "USD", captures_at_once=True))
        machine.do(Assess(0, "APPROVE"))
        run(machine, Answer("UNKNOWN", True))
        machine.do(Cancel(0, "key-0", "key-1"))
        run(machine, APPROVED)
        run(machine, APPROVED)
