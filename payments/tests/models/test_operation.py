"""Operations: what is known of a call after every sequence of outcomes, and when it is due."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import (
    CIRCUIT_OPEN,
    RESOLVED_BY_PEOPLE,
    UNDECIDED,
    Outcome,
    OutcomeKind,
)
from payments.models import Operation, Purpose, Verdict
from payments.models.operation_table import NEVER_GIVEN_UP
from payments.tests.conftest import NOW, payment_in, planned
from shared import db
from shared.identifiers import new_id
from shared.testing.refusals import constraint_names, violated

pytestmark = pytest.mark.django_db

P = PaymentStatus.PENDING
APPROVED, DECLINED, PENDING, NOT_SENT, UNKNOWN = (Outcome(kind) for kind in OutcomeKind)
RETRYABLE = Outcome(OutcomeKind.DECLINED, reason="issuer_unavailable", is_retryable=True)


def operation(**facts: Any) -> Operation:
    """An operation as it is claimed for the first time; not stored."""
    claimed = {"attempts": 1, "ended": 0, "last_error": "", "due_at": NOW, "kind": "AUTHORISE"}
    return Operation(**(claimed | facts))


def conclude(asked: Operation, *outcomes: Outcome) -> Operation:
    """Take outcomes one after the other, as a dispatcher that claims and records them."""
    for outcome in outcomes:
        asked.conclude(outcome, now=NOW)
        asked.ended, asked.attempts = asked.attempts, asked.attempts + 1
    return asked


def pause_seconds(after: Operation) -> float | None:
    return (after.due_at - NOW).total_seconds() if after.due_at else None


def counts(after: Operation) -> tuple[int, int, int]:
    """Sends, inquiries, late looks."""
    return after.sends, after.inquiries, after.late_looks


class TestRow:
    def test_refuses_what_its_constraints_name(self) -> None:
        payment = payment_in(P)
        operation = planned(payment)
        rows = Operation.objects.filter(pk=operation.pk)

        def store(**columns: Any) -> Callable[[], None]:
            facts = {
                "correlation_id": payment.correlation_id,
                "payment": payment,
                "merchant_id": payment.merchant_id,
                "kind": "VOID",
                "processor": "sandbox",
                "amount_minor": 1,
                "currency": "USD",
            }
            return lambda: Operation(**(facts | columns)).save(force_insert=True)

        keyed = store(idempotency_key="key-1")
        reversal = store(purpose="REVERSAL", reverses=operation)
        keyed(), reversal()
        breaks: dict[str, Callable[[], object]] = {
            "operation_kind_is_known": lambda: rows.update(kind="CHARGE"),
            "operation_outcome_is_known": lambda: rows.update(outcome="MAYBE"),
            "operation_verdict_is_known": lambda: rows.update(verdict="UNKNOWN"),
            "operation_amount_above_zero": lambda: rows.update(amount_minor=0),
            "operation_once_per_event": store(cause_event_id=operation.cause_event_id),
            "uq_operation_idempotency_key": keyed,
            "operation_reverses_once": reversal,
        }
        for name, way in breaks.items():
            assert violated(way) == name
        assert set(breaks) == constraint_names(Operation)

    def test_is_planned_once_per_event_and_processor(self) -> None:
        payment, cause = payment_in(P), new_id()
        for processor in ("sandbox", "sandbox", "sandbox-backup"):
            asked = Operation.to_authorise(payment, processor=processor, cause_event_id=cause)
            Operation.objects.plan([asked])
        assert Operation.objects.count() == 2

    def test_is_due_at_once_and_carries_what_the_processor_needs(self) -> None:
        payment = payment_in(P, amount_minor=7, currency="JPY", method_token="tok_slow")
        asked = planned(payment)
        assert asked.due_at is not None
        assert (asked.amount_minor, asked.currency) == (7, "JPY")
        assert (asked.merchant_id, asked.idempotency_key) == (payment.merchant_id, None)
        assert asked.correlation_id == payment.correlation_id


class TestFactories:
    def test_take_the_reference_of_the_hold_along(self) -> None:
        authorised = payment_in(PaymentStatus.AUTHORISED)
        captured = payment_in(PaymentStatus.CAPTURED)
        made = [
            Operation.to_capture(authorised, 10_000, is_final=False, now=NOW),
            Operation.to_refund(captured, None, now=NOW),
        ]
        for asked, kind in zip(made, ("CAPTURE", "REFUND"), strict=True):
            assert (asked.kind, asked.amount_minor) == (kind, 10_000)
            assert (asked.processor, asked.authorisation_reference) == ("sandbox", "ref_1")
        assert (made[0].is_final, authorised.capturing_minor) == (False, 10_000)
        assert captured.refunding_minor == 10_000

    def test_release_all_that_is_held(self) -> None:
        for status, amount_minor in (("AUTHORISED", 25_000), ("PARTIALLY_CAPTURED", 15_000)):
            payment = payment_in(PaymentStatus(status))
            asked = Operation.to_release(payment, purpose=Purpose.EXPIRY, now=NOW)
            assert (asked.kind, asked.amount_minor, asked.purpose) == (
                "VOID",
                amount_minor,
                "EXPIRY",
            )
            assert payment.is_closing

    def test_reverse_with_the_processor_that_did_it(self) -> None:
        payment = payment_in(P)
        late = operation(kind="AUTHORISE", processor="old", processor_reference="old_1")
        late.amount_minor = 25_000
        void = Operation.to_reverse(late, payment)
        late.kind, late.authorisation_reference = "CAPTURE", "hold_1"
        refund = Operation.to_reverse(late, payment)
        assert (void.kind, void.authorisation_reference) == ("VOID", "old_1")
        assert (refund.kind, refund.authorisation_reference) == ("REFUND", "hold_1")
        assert {void.processor, refund.processor} == {"old"}
        assert {void.purpose, refund.purpose} == {"REVERSAL"}
        assert void.reverses == refund.reverses == late


class TestConclude:
    def test_ends_an_operation_that_is_decided(self) -> None:
        for kind in (OutcomeKind.APPROVED, OutcomeKind.DECLINED):
            decided = conclude(operation(), Outcome(kind, reference="r-1", reason="why"))
            assert (decided.due_at, decided.is_open, decided.verdict) == (None, False, kind)
            assert (decided.outcome, decided.processor_reference) == (kind, "r-1")
            assert (decided.reason, counts(decided)) == ("why", (1, 0, 0))

    def test_asks_about_what_is_undecided_after_ever_longer_pauses(self) -> None:
        for kind in UNDECIDED:
            doubtful = operation()
            pauses = [
                pause_seconds(conclude(doubtful, Outcome(kind)))
                for _ in range(len(conf.INQUIRY_SECONDS) + 2)
            ]
            longest = conf.INQUIRY_SECONDS[-1]
            assert pauses == [*conf.INQUIRY_SECONDS, longest, longest]
            assert doubtful.sends == 1

    def test_of_an_unknown_outcome_never_fails_it(self) -> None:
        # Q: a timer must not turn doubt into a failure.
        for purpose in Purpose:
            doubtful = conclude(operation(purpose=purpose), *[UNKNOWN] * 1001)
            assert (doubtful.verdict, doubtful.is_in_doubt) == ("", True)
            assert (counts(doubtful), doubtful.due_at is None) == ((1, 1000, 0), False)

    def test_would_fail_it_if_tries_of_any_kind_were_counted(self) -> None:
        # The naive twin: one counter of tries, and a limit.
        class Naive(Operation):
            class Meta:
                proxy = True
                app_label = "payments"

            def _verdict(self, now: datetime) -> str:
                tries = self.sends + self.inquiries
                return Verdict.FAILED if tries >= conf.MAX_SENDS else super()._verdict(now)

        doubtful = Naive(attempts=1, ended=0, last_error="")
        assert conclude(doubtful, *[UNKNOWN] * 1001).verdict == "FAILED"

    @pytest.mark.parametrize("outcome", [NOT_SENT, RETRYABLE], ids=["not sent", "retryable"])
    def test_sends_again_what_was_not_done_after_ever_longer_pauses(self, outcome: Outcome) -> None:
        undone, pauses = operation(), list[float | None]()
        while not pauses or undone.due_at:
            assert not undone.was_inquiry
            pauses.append(pause_seconds(conclude(undone, outcome)))
        assert pauses == [2, 4, 8, 16, None]
        assert (undone.sends, undone.verdict) == (conf.MAX_SENDS, "FAILED")

    def test_never_gives_up_what_nobody_would_ask_for_again(self) -> None:
        for purpose in NEVER_GIVEN_UP:
            undone = conclude(operation(kind="VOID", purpose=purpose), *[NOT_SENT] * 1100)
            assert (undone.verdict, undone.sends) == ("", 1100)
            assert pause_seconds(undone) == conf.INQUIRY_SECONDS[-1]

    @pytest.mark.parametrize(
        ("told", "verdict", "counted"),
        [
            ([UNKNOWN, APPROVED], "APPROVED", (1, 1, 0)),
            ([UNKNOWN, DECLINED], "DECLINED", (1, 1, 0)),
            ([PENDING, UNKNOWN, PENDING, APPROVED], "APPROVED", (1, 3, 0)),
            ([UNKNOWN, NOT_SENT], "", (1, 1, 0)),
            ([UNKNOWN, NOT_SENT, APPROVED], "APPROVED", (2, 1, 0)),
            ([NOT_SENT, UNKNOWN, NOT_SENT, NOT_SENT], "", (3, 1, 0)),
            ([RETRYABLE, RETRYABLE, DECLINED], "DECLINED", (3, 0, 0)),
            ([*[NOT_SENT] * 4, UNKNOWN], "", (5, 0, 0)),
            ([*[NOT_SENT] * 4, UNKNOWN, NOT_SENT], "FAILED", (5, 1, 0)),
            ([*[NOT_SENT] * 4, UNKNOWN, UNKNOWN, APPROVED], "APPROVED", (5, 2, 0)),
            ([*[NOT_SENT] * 5], "FAILED", (5, 0, 0)),
        ],
    )
    def test_counts_and_judges_sequences(
        self, told: list[Outcome], verdict: str, counted: tuple[int, int, int]
    ) -> None:
        after = conclude(operation(), *told)
        assert (after.verdict, counts(after)) == (verdict, counted)
        assert (after.due_at is None) == bool(verdict) or after.inquiries > 0

    def test_of_every_pair_keeps_the_first_verdict(self) -> None:
        kinds = (APPROVED, DECLINED, PENDING, NOT_SENT, UNKNOWN)
        for first, second in product(kinds, repeat=2):
            after = conclude(operation(sends=conf.MAX_SENDS - 1), first)
            if verdict := after.verdict:
                assert conclude(after, second).verdict == verdict, (first, second)
                assert after.late_looks == 1

    def test_keeps_the_reference_that_the_processor_gave_first(self) -> None:
        pending = conclude(operation(), Outcome(OutcomeKind.PENDING, "r-1"), APPROVED)
        assert pending.processor_reference == "r-1"

    def test_counts_what_went_without_end_and_did_not_arrive_as_a_send(self) -> None:
        died = operation(attempts=2, ended=0)
        died.conclude(NOT_SENT, now=NOW)
        assert counts(died) == (1, 1, 0)

    def test_takes_the_word_of_people(self) -> None:
        for outcome, verdict in ((APPROVED, "APPROVED"), (NOT_SENT, "FAILED")):
            doubtful = conclude(operation(), UNKNOWN)
            conclude(doubtful, Outcome(outcome.kind, reason=RESOLVED_BY_PEOPLE))
            assert doubtful.verdict == verdict
            assert not doubtful.may_go_elsewhere


class TestHeldBack:
    HELD = Outcome(OutcomeKind.NOT_SENT, reason=CIRCUIT_OPEN)
    SINCE = NOW - timedelta(seconds=conf.HELD_BACK_SECONDS)
    LONGER = SINCE - timedelta(microseconds=1)

    def test_waits_for_its_time_and_then_fails_without_a_send(self) -> None:
        held = conclude(operation(created_at=self.SINCE), *[self.HELD] * 1000)
        assert (held.verdict, counts(held)) == ("", (0, 0, 0))
        assert pause_seconds(held) == conf.HELD_BACK_PAUSE_SECONDS
        held.created_at = self.LONGER
        assert conclude(held, self.HELD).verdict == "FAILED"
        assert (counts(held), held.due_at) == ((0, 0, 0), None)

    def test_leaves_all_its_sends_for_when_the_circuit_is_closed(self) -> None:
        undone = operation(created_at=self.SINCE)
        conclude(undone, *[self.HELD, NOT_SENT] * (conf.MAX_SENDS - 1), self.HELD)
        assert (undone.verdict, undone.sends) == ("", conf.MAX_SENDS - 1)
        assert conclude(undone, NOT_SENT).verdict == "FAILED"

    def test_fails_nothing_that_was_not_held_back_or_that_nobody_would_ask_for_again(self) -> None:
        old = operation(created_at=self.LONGER)
        assert conclude(old, NOT_SENT).verdict == ""
        for purpose in NEVER_GIVEN_UP:
            held = operation(kind="VOID", purpose=purpose, created_at=self.LONGER)
            assert conclude(held, self.HELD).verdict == ""


class TestLateLooks:
    def given_up(self) -> Operation:
        return conclude(operation(), *[NOT_SENT] * 4, UNKNOWN, NOT_SENT)

    def test_are_taken_of_what_was_in_doubt_and_given_up(self) -> None:
        gone, pauses = self.given_up(), []
        while gone.due_at:
            pauses.append(pause_seconds(gone))
            assert gone.was_inquiry
            conclude(gone, NOT_SENT)
        assert pauses == list(conf.LATE_LOOK_SECONDS)
        assert (gone.verdict, gone.is_late_success) == ("FAILED", False)

    def test_are_not_taken_of_what_never_left(self) -> None:
        assert conclude(operation(), *[NOT_SENT] * 5).due_at is None
        passed_on = conclude(operation(), NOT_SENT)
        passed_on.pass_on(now=NOW)
        assert (passed_on.verdict, passed_on.due_at) == ("PASSED_ON", None)

    def test_end_with_a_late_success(self) -> None:
        late = conclude(self.given_up(), UNKNOWN, APPROVED)
        assert (late.is_late_success, late.verdict, late.due_at) == (True, "FAILED", None)
        late.resolve(Verdict.APPROVED, reason="late")
        assert not late.is_late_success


class TestMayGoElsewhere:
    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ([NOT_SENT], True),
            ([RETRYABLE], True),
            ([NOT_SENT] * 5, True),
            ([DECLINED], False),
            ([APPROVED], False),
            ([UNKNOWN], False),
            ([PENDING], False),
            ([UNKNOWN, NOT_SENT], False),
            ([UNKNOWN, RETRYABLE], False),
            ([UNKNOWN, NOT_SENT, NOT_SENT], False),
        ],
    )
    def test_only_when_nothing_was_ever_in_doubt(self, told: list[Outcome], expected: bool) -> None:
        assert conclude(operation(), *told).may_go_elsewhere is expected

    @pytest.mark.parametrize("kind", ["CAPTURE", "VOID", "REFUND"])
    def test_holds_for_authorisations_alone(self, kind: str) -> None:
        assert not conclude(operation(kind=kind), NOT_SENT).may_go_elsewhere


class TestWasInquiry:
    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({}, False),
            ({"attempts": 2}, True),
            ({"attempts": 2, "ended": 1, "outcome": "NOT_SENT"}, False),
            ({"attempts": 3, "ended": 1, "outcome": "NOT_SENT"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "UNKNOWN"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "PENDING"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "NOT_SENT", "verdict": "FAILED"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "DECLINED", "is_retryable": True}, False),
            ({"attempts": 1, "last_error": "parked, and an operator retried"}, True),
        ],
    )
    def test_is_what_the_last_claim_and_its_end_make_it(
        self, facts: dict[str, Any], expected: bool
    ) -> None:
        assert operation(**facts).was_inquiry is expected


class TestNeedsPeople:
    def test_when_it_is_undecided_or_parked(self) -> None:
        for facts, expected in (
            ({"outcome": "UNKNOWN"}, True),
            ({"outcome": "PENDING"}, True),
            ({"outcome": "NOT_SENT"}, False),
            ({}, False),
            ({"due_at": None, "parked_at": NOW}, True),
            ({"outcome": "UNKNOWN", "verdict": "FAILED"}, False),
        ):
            assert operation(**facts).needs_people is expected, facts


class TestSelections:
    def heard(self, **facts: Any) -> bool:
        asked = planned(payment_in(P))
        later = {"attempts": 1, "ended": 1, "due_at": NOW + timedelta(days=10_000)}
        Operation.objects.filter(pk=asked.pk).update(**(later | facts))
        return Operation.objects.make_due(asked.pk, "sandbox")

    def test_make_due_what_was_sent_and_is_not_decided(self) -> None:
        for facts in ({"outcome": "UNKNOWN"}, {"outcome": "PENDING"}, {"verdict": "FAILED"}):
            assert self.heard(**facts), facts

    def test_make_due_nothing_else(self) -> None:
        for facts in (
            {"attempts": 0, "ended": 0},
            {"attempts": 2},
            {"parked_at": NOW, "due_at": None},
            {"verdict": "APPROVED", "due_at": None},
            {"verdict": "DECLINED", "due_at": None},
            {"processor": "another"},
        ):
            assert not self.heard(**facts), facts

    def test_take_back_what_nobody_claimed(self) -> None:
        unsent, sent = payment_in(P), payment_in(P)
        for payment in (unsent, sent):
            planned(payment)
        Operation.objects.filter(payment=unsent).update(attempts=0)
        assert Operation.objects.take_back_unsent(unsent)
        assert not Operation.objects.take_back_unsent(sent)
        taken = Operation.objects.get(payment=unsent)
        assert (taken.verdict, taken.reason, taken.due_at) == ("FAILED", "cancelled", None)
        assert Operation.objects.get(payment=sent).is_open

    def test_take_from_whoever_works_on_it(self) -> None:
        asked = planned(payment_in(P))
        Operation.objects.filter(pk=asked.pk).update(parked_at=NOW, last_error="why")
        with db.transaction():
            before = Operation.objects.taken_from_workers(asked.pk)
        asked.refresh_from_db()
        assert (before.attempts, asked.attempts, asked.ended) == (1, 2, 2)
        assert (asked.parked_at, asked.last_error) == (None, "")
