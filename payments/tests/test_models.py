"""Payments and operations: rows that protect themselves (M5, M14, M16)."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from payments import conf
from payments.domain.lifecycle import TRANSITIONS, PaymentStatus, may_follow
from payments.domain.processor import IN_DOUBT, Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.models.payment import TransitionNotAllowed
from payments.tests.conftest import NOW, VERBS, loaded, payment_in, planned, terms
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR
from shared.postgres.batches import RowsChangedMeanwhile
from shared.testing.refusals import constraint_names, violated, without_trigger

pytestmark = pytest.mark.django_db

P, R, A, D, F = PaymentStatus

MEANT: dict[tuple[PaymentStatus, str], PaymentStatus] = {
    (P, "pass_assessment"): P,
    (P, "hold_for_review"): R,
    (P, "authorise"): A,
    (P, "decline"): D,
    (P, "fail"): F,
    (P, "await_processor"): P,
    (R, "pass_assessment"): P,
    (R, "decline"): D,
}
"""What every verb makes of a status; what is not listed is refused."""


def change(payment: Payment, using: str = "default", **values: Any) -> Callable[[], int]:
    """An UPDATE of the payment's row behind the model's back."""
    return lambda: Payment.objects.using(using).filter(pk=payment.pk).update(**values)


def insert(**values: Any) -> Callable[[], object]:
    """An INSERT of a payment with these columns instead of good ones."""

    def run() -> None:
        Payment.initiate(now=NOW, **(vars(terms()) | values))

    return run


class TestPaymentVerbs:
    def test_do_in_every_status_what_is_meant_and_nothing_else(self) -> None:
        for status, verb in product(PaymentStatus, VERBS):
            payment = payment_in(status)
            if (status, verb) in MEANT:
                VERBS[verb](payment)
                Payment.objects.write([payment])
            else:
                with pytest.raises(TransitionNotAllowed, match=status):
                    VERBS[verb](payment)
            assert loaded(payment).status == MEANT.get((status, verb), status), (status, verb)

    def test_are_all_of_them(self) -> None:
        mutators = {
            name
            for name, value in vars(Payment).items()
            if callable(value) and getattr(value, "__annotations__", {}).get("now")
        }
        assert mutators - {"initiate", "facts", "_become", "_note_assessment"} == set(VERBS)

    def test_authorise_the_whole_amount(self) -> None:
        payment = payment_in(P)
        payment.authorise(now=NOW)
        Payment.objects.write([payment])
        stored = loaded(payment)
        assert (stored.authorised_minor, stored.authorised_at) == (25_000, NOW)

    def test_leave_the_doubt_behind_once_it_is_decided(self) -> None:
        for verb in ("authorise", "decline", "fail"):
            payment = payment_in(P)
            payment.await_processor(in_doubt=True, now=NOW)
            VERBS[verb](payment)
            assert not payment.in_doubt

    def test_note_when_fraud_first_decided(self) -> None:
        payment = payment_in(R)
        payment.pass_assessment(now=NOW + timedelta(hours=1))
        assert payment.assessed_at == NOW
        assert not payment.awaits_assessment


class TestPaymentWrite:
    def test_refuses_a_payment_that_changed_meanwhile(self) -> None:
        payment = payment_in(P)
        stale = loaded(payment)
        payment.decline(reason="do_not_honor", now=NOW)
        Payment.objects.write([payment])

        stale.authorise(now=NOW)
        with pytest.raises(RowsChangedMeanwhile):
            Payment.objects.write([stale])

        assert loaded(payment).status == D

    def test_without_guard_and_trigger_a_late_approval_would_pass(self) -> None:
        # The naive twin: the lifecycle in Python only, which a stale object knows nothing of.
        payment = payment_in(P)
        stale = loaded(payment)
        payment.decline(reason="do_not_honor", now=NOW)
        Payment.objects.write([payment])

        stale.authorise(now=NOW)
        with without_trigger("payments.payment", "payment_lifecycle"):
            stale.save(using="owner")
            assert Payment.objects.using("owner").get(pk=payment.pk).status == A

    def test_without_the_guard_the_trigger_still_refuses(self) -> None:
        payment = payment_in(P)
        stale = loaded(payment)
        payment.decline(reason="do_not_honor", now=NOW)
        Payment.objects.write([payment])

        stale.authorise(now=NOW)
        assert violated(stale.save) == "payment_transition_is_listed"

    def test_takes_a_batch_in_one_statement(self) -> None:
        payments = [payment_in(P, amount_minor=amount) for amount in (1, 200, 30_000)]
        payments[0].authorise(now=NOW)
        payments[1].decline(reason="insufficient_funds", now=NOW)
        payments[2].await_processor(in_doubt=True, now=NOW)

        with CaptureQueriesContext(connection) as queries:
            Payment.objects.write(payments)

        assert len(queries) == 1
        first, second, third = (loaded(payment) for payment in payments)
        assert (first.status, first.authorised_minor) == (A, 1)
        assert (second.status, second.decline_reason) == (D, "insufficient_funds")
        assert (third.status, third.in_doubt) == (P, True)

    def test_can_be_repeated_by_whoever_wrote(self) -> None:
        payment = payment_in(P)
        payment.hold_for_review(now=NOW)
        Payment.objects.write([payment])
        payment.decline(reason="fraud_assessment", now=NOW)
        Payment.objects.write([payment])
        assert loaded(payment).status == D

    def test_writes_all_of_a_batch_or_nothing(self) -> None:
        fresh, changed = payment_in(P), payment_in(P)
        change(changed, status=F)()
        for payment in (fresh, changed):
            payment.authorise(now=NOW)

        with pytest.raises(RowsChangedMeanwhile), transaction.atomic():
            Payment.objects.write([fresh, changed])

        assert (loaded(fresh).status, loaded(changed).status) == (P, F)


class TestPaymentRow:
    def test_refuses_what_its_constraints_name(self) -> None:
        payment = payment_in(A)
        known = {"merchant_id": payment.merchant_id, "idempotency_key": payment.idempotency_key}
        breaks: dict[str, list[Callable[[], object]]] = {
            "uq_payment_idempotency_key": [insert(**known)],
            "payment_amount_within_limits": [
                insert(amount_minor=amount) for amount in (0, -1, MAX_AMOUNT_MINOR + 1)
            ],
            "payment_authorised_within_amount": [
                change(payment, authorised_minor=amount) for amount in (-1, 25_001)
            ],
            "payment_captured_within_authorised": [
                change(payment, captured_minor=amount) for amount in (-1, 25_001)
            ],
            "payment_refunded_within_captured": [
                change(payment, refunded_minor=amount) for amount in (-1, 1)
            ],
        }
        for name, ways in breaks.items():
            for way in ways:
                assert violated(way) == name
        with without_trigger("payments.payment", "payment_lifecycle"):
            unknown = violated(change(payment, "owner", status="CAPTURED"), "owner")
        assert unknown == "payment_status_is_known"
        assert {*breaks, "payment_status_is_known"} == constraint_names(Payment)

    def test_takes_the_extremes(self) -> None:
        for amount in (1, MAX_AMOUNT_MINOR):
            payment = payment_in(A, amount_minor=amount)
            change(payment, captured_minor=amount, refunded_minor=amount)()
            assert loaded(payment).refunded_minor == amount

    def test_begins_as_pending(self) -> None:
        for status in set(PaymentStatus) - {P}:
            payment = Payment(
                correlation_id=new_id(),
                status=status,
                created_at=NOW,
                updated_at=NOW,
                **vars(terms()),
            )
            assert violated(payment.save) == "payment_begins_pending"

    def test_moves_in_plain_sql_as_the_lifecycle_lists_and_no_other_way(self) -> None:
        for before, after in product(PaymentStatus, repeat=2):
            payment = payment_in(before)
            if before == after or may_follow(before, after):
                change(payment, status=after)()
            else:
                refusal = violated(change(payment, status=after))
                assert refusal == "payment_transition_is_listed", (before, after)
        assert set(TRANSITIONS) == set(PaymentStatus)

    def test_keeps_its_terms(self) -> None:
        payment = payment_in(P)
        others: dict[str, Any] = {
            "id": new_id(),
            "merchant_id": new_id(),
            "correlation_id": new_id(),
            "idempotency_key": "another",
            "amount_minor": 24_999,
            "currency": "EUR",
        }
        for column, value in others.items():
            break_it = change(payment, "default", **{column: value})
            assert violated(break_it) == "payment_terms_never_change", column

    def test_would_change_its_currency_without_the_trigger(self) -> None:
        # The naive twin of M14: a column like any other.
        payment = payment_in(P)
        with without_trigger("payments.payment", "payment_lifecycle"):
            change(payment, "owner", currency="EUR")()
            assert Payment.objects.using("owner").get(pk=payment.pk).currency == "EUR"


class TestOperationRow:
    def test_refuses_what_its_constraints_name(self) -> None:
        operation = planned(payment_in(P))
        rows = Operation.objects.filter(pk=operation.pk)

        def repeat() -> None:
            operation.pk = new_id()
            operation.save(force_insert=True)

        breaks: dict[str, Callable[[], object]] = {
            "operation_outcome_is_known": lambda: rows.update(outcome="MAYBE"),
            "operation_amount_above_zero": lambda: rows.update(amount_minor=0),
            "operation_once_per_event": repeat,
        }
        for name, way in breaks.items():
            assert violated(way) == name
        assert set(breaks) == constraint_names(Operation)

    def test_is_planned_once_per_event(self) -> None:
        payment, cause = payment_in(P), str(new_id())
        for _ in range(2):
            operation = Operation.to_authorise(payment, processor="sandbox", cause_event_id=cause)
            Operation.objects.plan([operation])
        assert Operation.objects.count() == 1

    def test_is_due_at_once_and_carries_what_the_processor_needs(self) -> None:
        payment = payment_in(P, amount_minor=7, currency="JPY", method_token="tok_slow")
        operation = planned(payment)
        assert operation.due_at is not None
        assert (operation.amount_minor, operation.currency) == (7, "JPY")
        assert (operation.method_type, operation.method_token) == ("CARD", "tok_slow")
        assert operation.correlation_id == payment.correlation_id


def operation(**facts: Any) -> Operation:
    """An operation as it is claimed for the first time; not stored."""
    claimed = {"attempts": 1, "ended": 0, "last_error": "", "due_at": NOW}
    return Operation(**(claimed | facts))


def pause_seconds(after: Operation) -> float | None:
    return (after.due_at - NOW).total_seconds() if after.due_at else None


class TestConclude:
    def test_ends_an_operation_that_is_decided(self) -> None:
        for kind in (OutcomeKind.APPROVED, OutcomeKind.DECLINED):
            decided = operation()
            decided.conclude(Outcome(kind, reference="r-1", reason="why"), now=NOW)
            assert decided.due_at is None
            assert not decided.is_open
            assert (decided.outcome, decided.processor_reference) == (kind, "r-1")
            assert (decided.reason, decided.sends, decided.inquiries) == ("why", 1, 0)

    def test_asks_about_what_is_in_doubt_after_ever_longer_pauses(self) -> None:
        for kind in IN_DOUBT:
            doubtful = operation()
            pauses = []
            for _ in range(len(conf.INQUIRY_SECONDS) + 2):
                doubtful.conclude(Outcome(kind), now=NOW)
                pauses.append(pause_seconds(doubtful))
                doubtful.ended, doubtful.attempts = doubtful.attempts, doubtful.attempts + 1
            longest = conf.INQUIRY_SECONDS[-1]
            assert pauses == [*conf.INQUIRY_SECONDS, longest, longest]
            assert doubtful.sends == 1

    def test_sends_again_what_did_not_arrive_after_ever_longer_pauses(self) -> None:
        unsent, pauses = operation(), list[float | None]()
        while not pauses or unsent.due_at:
            assert not unsent.was_inquiry
            unsent.conclude(Outcome(OutcomeKind.NOT_SENT), now=NOW)
            pauses.append(pause_seconds(unsent))
            unsent.ended, unsent.attempts = unsent.attempts, unsent.attempts + 1
        assert pauses == [2, 4, 8, 16, None]
        assert unsent.sends == conf.MAX_SENDS

    def test_keeps_the_reference_that_the_processor_gave_first(self) -> None:
        pending = operation()
        pending.conclude(Outcome(OutcomeKind.PENDING, reference="r-1"), now=NOW)
        pending.conclude(Outcome(OutcomeKind.APPROVED), now=NOW)
        assert pending.processor_reference == "r-1"


class TestWasInquiry:
    def test_is_what_the_last_claim_and_its_end_make_it(self) -> None:
        for facts, expected in (
            ({}, False),
            ({"attempts": 2}, True),
            ({"attempts": 2, "ended": 1, "outcome": "NOT_SENT"}, False),
            ({"attempts": 3, "ended": 1, "outcome": "NOT_SENT"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "UNKNOWN"}, True),
            ({"attempts": 2, "ended": 1, "outcome": "PENDING"}, True),
            ({"attempts": 1, "last_error": "parked, and an operator retried"}, True),
        ):
            assert operation(**facts).was_inquiry is expected, facts
