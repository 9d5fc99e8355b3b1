"""
A short machine in the suite, and mutants: what it must not be blind to.

`make machine` runs the long one. A failure here prints the commands that lead to it, shrunk.
"""

import ast
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from payflow.tests.machine import auditor, calls, commands
from payflow.tests.machine.calls import CAPTURE, REFUND, VOID
from payflow.tests.machine.commands import (
    Ask,
    Assess,
    Cancel,
    Command,
    Expire,
    Initiate,
    Reply,
    Run,
    Wait,
)
from payflow.tests.machine.ground import empty, prepared
from payflow.tests.machine.machine import Disagreement, Machine
from payflow.tests.machine.processor import Answer
from payflow.tests.machine.wanderer import Wanderer
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.models.payment_table import LOCK_OVERDUE
from shared.http.idempotency import Answer as HttpAnswer

pytestmark = pytest.mark.django_db

SAID = ["APPROVED", "APPROVED", "DECLINED", "RETRYABLE", "NOT_SENT", "UNKNOWN", "PENDING"]
SOME = st.integers(min_value=0, max_value=30)
PORTIONS = st.one_of(st.none(), st.integers(min_value=1, max_value=120))
"""Of an amount, in hundredths."""


class Payments(RuleBasedStateMachine):
    """Commands as hypothesis chooses and shrinks them; the auditor judges each."""

    def __init__(self) -> None:
        """Two merchants without payments."""
        super().__init__()
        empty()
        self.machine = Machine()
        self._ground = prepared(self.machine.world)
        self._ground.__enter__()
        self._keys = 0

    def teardown(self) -> None:
        """Look at all of the books."""
        try:
            self.machine.audit()
            self.machine.audit_ledger()
        finally:
            self._ground.__exit__(None, None, None)

    @rule(
        merchant=st.integers(0, 1),
        amount=st.one_of(st.sampled_from([1, 2, 101, 10**15]), st.integers(1, 10**6)),
        currency=st.sampled_from(["JPY", "USD", "KWD"]),
        at_once=st.booleans(),
        hours=st.one_of(st.none(), st.sampled_from([1, 30, 300])),
        approved=st.booleans(),
    )
    def initiate(
        self,
        merchant: int,
        amount: int,
        currency: str,
        at_once: bool,
        hours: int | None,
        approved: bool,
    ) -> None:
        """A new payment, often already held."""
        until = self.machine.world.now + timedelta(hours=hours) if hours else None
        key = self._new_key()
        self._do(
            Initiate(
                merchant, key, amount, currency, captures_at_once=at_once, capture_before=until
            )
        )
        if approved:
            number = len(self.machine.world.payments) - 1
            self._do(Assess(number, "APPROVE"))
            self._do(Run((Reply(number, 0, Answer("APPROVED", True)),)))

    @precondition(lambda self: self.machine.lives)
    @rule(
        which=SOME,
        decision=st.sampled_from(["APPROVE", "APPROVE", "REVIEW", "DECLINE"]),
        is_review=st.booleans(),
    )
    def assess(self, which: int, decision: str, is_review: bool) -> None:
        """Fraud decides, or an operator."""
        decision = "APPROVE" if is_review and decision == "REVIEW" else decision
        self._do(Assess(self._number(which), decision, is_review=is_review))

    @precondition(lambda self: self.machine.lives)
    @rule(
        which=SOME,
        kind=st.sampled_from([CAPTURE, CAPTURE, VOID, REFUND]),
        portion=PORTIONS,
        is_final=st.booleans(),
        is_dry=st.booleans(),
        again=st.integers(0, 9),
    )
    def ask(
        self, which: int, kind: str, portion: int | None, is_final: bool, is_dry: bool, again: int
    ) -> None:
        """A merchant asks, sometimes under a key of before."""
        number = self._number(which)
        part = portion and max(1, self.machine.lives[number].amount * portion // 100)
        key = f"key-{max(1, self._keys - 1)}" if again == 0 else self._new_key()
        amount = None if kind == VOID else part
        self._do(Ask(number, kind, key, amount, is_final=is_final, is_dry=is_dry and again > 4))

    @precondition(lambda self: self.machine.lives)
    @rule(which=SOME, is_seen=st.integers(0, 4))
    def cancel(self, which: int, is_seen: int) -> None:
        """A merchant cancels a payment whose answer never came, or that never was."""
        keys = sorted(self.machine.keys)
        merchant, key = keys[which % len(keys)]
        self._do(Cancel(merchant, key if is_seen else self._new_key(), self._new_key()))

    @precondition(lambda self: self.machine.lives)
    @rule(
        which=SOME,
        call=SOME,
        says=st.lists(st.sampled_from(SAID), min_size=1, max_size=5),
        lies=st.booleans(),
    )
    def run(self, which: int, call: int, says: list[str], lies: bool) -> None:
        """The dispatcher makes a call, again and again until it gets its answer."""
        number = self._number(which)
        life = self.machine.lives[number]
        if not life.calls:
            return
        index = call % len(life.calls)
        for said in says:
            is_done = life.calls[index].is_done
            told = "UNKNOWN" if is_done and said in {"DECLINED", "RETRYABLE"} else said
            lied = lies and told in {"NOT_SENT", "UNKNOWN"}
            answer = Answer(told, is_done or lied or told == "APPROVED")
            self._do(Run((Reply(number, index, answer),)))

    @rule(hours=st.sampled_from([1, 40, 170]))
    def expire(self, hours: int) -> None:
        """Time passes, and holds end."""
        self._do(Wait(hours))
        self._do(Expire())

    @invariant()
    def books_agree(self) -> None:
        """Now and then: every step would take the time of three."""
        if self.machine.steps % 10 == 0:
            self.machine.audit()

    def _do(self, command: Command) -> None:
        self.machine.do(command)

    def _number(self, which: int) -> int:
        return list(self.machine.lives)[which % len(self.machine.lives)]

    def _new_key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"


def test_hypothesis_finds_no_disagreement() -> None:
    run_machine(
        Payments,
        settings=settings(
            max_examples=14,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_walk_finds_no_disagreement() -> None:
    machine = walk(seed=1, steps=700)
    assert machine.steps >= 700


class TestMutants:
    """Naive variants: each is found within a few thousand steps of a walk."""

    def test_a_refund_that_forgets_those_in_flight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def reserve_refund(self: Payment, amount_minor: int | None, *, now: Any) -> int:
            refunding, self.refunding_minor = self.refunding_minor, 0
            try:
                return real(self, amount_minor, now=now)
            finally:
                self.refunding_minor += refunding

        real = Payment.reserve_refund
        monkeypatch.setattr(Payment, "reserve_refund", reserve_refund)
        assert "refund" in disagreement()

    def test_a_release_that_does_not_close_the_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def release(self: Payment, ended_as: PaymentStatus, *, now: Any) -> int:
            released_minor = real(self, ended_as, now=now)
            self.released_minor -= released_minor
            return released_minor

        real = Payment.release
        monkeypatch.setattr(Payment, "release", release)
        assert "released" in disagreement()

    def test_a_doubt_that_becomes_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def conclude(self: Operation, outcome: Outcome, *, now: Any) -> None:
            if outcome.kind == OutcomeKind.UNKNOWN:
                outcome = Outcome(OutcomeKind.DECLINED, reason="timeout")
            real(self, outcome, now=now)

        real = Operation.conclude
        monkeypatch.setattr(Operation, "conclude", conclude)
        assert "UNKNOWN" in disagreement()

    def test_an_undecided_answer_that_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def seen(payment_id: UUID) -> HttpAnswer:
            return replace(real(payment_id), is_decided=True)

        real = commands._seen
        monkeypatch.setattr(commands, "_seen", seen)
        assert "Initiate" in disagreement()

    def test_a_doubt_that_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Operation, "was_inquiry", property(lambda self: bool(self.verdict)))
        assert "inquire" in disagreement()

    def test_a_final_capture_that_keeps_the_rest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def capture(self: Payment, amount_minor: int, *, is_final: bool, now: Any) -> int:
            released_minor = real(self, amount_minor, is_final=False, now=now)
            self.is_closing = False
            return released_minor

        real = Payment.capture
        monkeypatch.setattr(Payment, "capture", capture)
        assert "PARTIALLY_CAPTURED" in disagreement()

    def test_a_refund_that_forgets_what_is_still_held(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refund(self: Payment, amount_minor: int, *, now: Any) -> None:
            self.give_back_refund(amount_minor, now=now)
            self.refunded_minor += amount_minor
            if self.refunded_minor == self.captured_minor:
                self._become(PaymentStatus.REFUNDED, now)

        monkeypatch.setattr(Payment, "refund", refund)
        assert "REFUND" in disagreement()

    def test_a_cancellation_that_is_forgotten_when_the_answer_comes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Payment, "request_cancel", lambda self, *, now: None)
        assert "Cancel" in disagreement()

    def test_an_expiry_that_does_not_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        careless = LOCK_OVERDUE.replace("AND capturing_minor = 0", "")
        assert careless != LOCK_OVERDUE
        monkeypatch.setattr("payments.models.payment.LOCK_OVERDUE", careless)
        with pytest.raises(Disagreement, match="PaymentNotVoidable"):
            expire_beside_a_capture()


def walk(*, seed: int, steps: int) -> Machine:
    """A machine that has gone so many steps."""
    machine, wanderer = Machine(), Wanderer(seed)
    with prepared(machine.world):
        while machine.steps < steps:
            wanderer.step(machine)
            if machine.steps % 200 == 0:
                machine.audit()
        machine.audit()
        machine.audit_ledger()
    return machine


def disagreement() -> str:
    """What the auditor says of a mutant; empty if it is blind to it."""
    try:
        walk(seed=1, steps=3_000)
    except Disagreement as found:
        return str(found)
    return ""


def test_the_auditor_imports_nothing_of_what_it_judges() -> None:
    for module in (auditor, calls):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        imported = {
            node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        }
        assert imported
        assert all(
            name == "payflow.tests.machine.calls" or name in sys.stdlib_module_names
            for name in imported
        )
        assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))


def expire_beside_a_capture() -> None:
    machine = Machine()
    with prepared(machine.world):
        machine.do(Initiate(0, "key-0", 100, "USD"))
        machine.do(Assess(0, "APPROVE"))
        machine.do(Run((Reply(0, 0, Answer("APPROVED", True)),)))
        machine.do(Ask(0, CAPTURE, "key-1", 60, is_final=False))
        machine.do(Wait(7 * 24))
        machine.do(Expire())
