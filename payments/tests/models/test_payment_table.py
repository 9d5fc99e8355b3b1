"""What PostgreSQL itself refuses of payments, and the history it writes (M5-M8, M14-M16)."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
from django.db import connection

from payments.domain.lifecycle import TRANSITIONS, PaymentStatus, may_follow
from payments.models import Payment, StatusChange
from payments.tests.conftest import NOW, loaded, payment_in, terms
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR
from shared.testing.refusals import constraint_names, refused_state, violated, without_trigger

pytestmark = pytest.mark.django_db

P, R, A, PC, C, PR, REFUNDED, VOIDED, EXPIRED, D, F = PaymentStatus
AMOUNTS = ("authorised_minor", "captured_minor", "released_minor", "refunded_minor")


def change(payment: Payment, using: str = "default", **values: Any) -> Callable[[], int]:
    """An UPDATE of the payment's row behind the model's back."""
    return lambda: Payment.objects.using(using).filter(pk=payment.pk).update(**values)


def change_one_in(status: PaymentStatus, /, **values: Any) -> Callable[[], int]:
    """An UPDATE of a payment in this status."""
    return change(payment_in(status), **values)


def insert(**values: Any) -> Callable[[], object]:
    """An INSERT of a payment with these columns instead of good ones."""
    return lambda: Payment.initiate(now=NOW, **(vars(terms()) | values))


def breaks(known: Payment) -> list[tuple[str, Callable[[], object]]]:
    """A constraint by its name, and a change that it refuses."""
    key = {"merchant_id": known.merchant_id, "idempotency_key": known.idempotency_key}
    within_authorised = "payment_captured_within_authorised"
    within_captured = "payment_refunded_within_captured"
    holds_the_rest = "payment_partially_captured_holds_the_rest"
    return [
        ("uq_payment_idempotency_key", insert(**key)),
        *(("payment_amount_within_limits", insert(amount_minor=n)) for n in (0, -1, _TOO_MUCH)),
        *(
            ("payment_authorised_within_amount", change_one_in(A, authorised_minor=minor))
            for minor in (-1, 25_001)
        ),
        (within_authorised, change_one_in(A, capturing_minor=25_001)),
        (within_authorised, change_one_in(A, capturing_minor=-1)),
        (within_authorised, change_one_in(PC, capturing_minor=15_001)),
        (within_authorised, change_one_in(PC, captured_minor=25_001)),
        (within_authorised, change_one_in(PC, released_minor=15_001)),
        (within_captured, change_one_in(PC, refunded_minor=10_001)),
        (within_captured, change_one_in(PC, refunding_minor=10_001)),
        (within_captured, change_one_in(PR, refunding_minor=5_001)),
        (within_captured, change_one_in(C, refunding_minor=-1)),
        ("payment_void_has_nothing_captured", change_one_in(A, status=VOIDED)),
        (
            "payment_void_has_nothing_captured",
            change_one_in(A, status=EXPIRED, captured_minor=1, released_minor=24_999),
        ),
        ("payment_captured_holds_nothing", change_one_in(A, status=C, captured_minor=10)),
        ("payment_captured_holds_nothing", change_one_in(A, status=C, released_minor=25_000)),
        (holds_the_rest, change_one_in(A, status=PC)),
        (holds_the_rest, change_one_in(A, status=PC, captured_minor=25_000)),
        (holds_the_rest, change_one_in(PC, released_minor=1)),
        ("payment_amounts_follow_status", change_one_in(A, captured_minor=1)),
        ("payment_amounts_follow_status", change_one_in(A, released_minor=1)),
    ]


_TOO_MUCH = MAX_AMOUNT_MINOR + 1


class TestConstraints:
    def test_refuse_what_their_names_say(self) -> None:
        known = payment_in(A)
        named = set()
        for name, way in breaks(known):
            assert violated(way) == name
            named.add(name)
        with without_trigger("payments.payment", "payment_lifecycle"):
            unknown = violated(change(known, "owner", status="LOST"), "owner")
        assert unknown == "payment_status_is_known"
        assert {*named, "payment_status_is_known"} == constraint_names(Payment)

    @pytest.mark.parametrize("column", ["captured_minor", "released_minor", "refunded_minor"])
    def test_refuse_amounts_below_zero_also_without_the_trigger(self, column: str) -> None:
        payment = payment_in(PC)
        with without_trigger("payments.payment", "payment_lifecycle"):
            refusal = violated(change(payment, "owner", **{column: -1}), "owner")
        assert refusal in {
            "payment_captured_within_authorised",
            "payment_refunded_within_captured",
        }

    def test_take_the_extremes(self) -> None:
        for amount in (1, MAX_AMOUNT_MINOR):
            payment = payment_in(A, amount_minor=amount)
            change(payment, status=C, captured_minor=amount)()
            change(payment, status=REFUNDED, refunded_minor=amount)()
            assert loaded(payment).refunded_minor == amount


class TestLifecycleTrigger:
    def test_lets_a_payment_begin_as_pending_only(self) -> None:
        for status in set(PaymentStatus) - {P}:
            payment = Payment(
                correlation_id=new_id(),
                status=status,
                created_at=NOW,
                updated_at=NOW,
                **vars(terms()),
            )
            assert violated(payment.save) == "payment_begins_pending"

    @pytest.mark.parametrize("before", PaymentStatus)
    def test_lets_it_move_as_the_lifecycle_lists_and_no_other_way(
        self, before: PaymentStatus
    ) -> None:
        for after in PaymentStatus:
            goal = payment_in(after)
            amounts = {name: getattr(goal, name) for name in AMOUNTS}
            move = change(payment_in(before), status=after, **amounts)
            if before == after or may_follow(before, after):
                assert move() == 1, after
            else:
                assert violated(move) == "payment_transition_is_listed", after
        assert set(TRANSITIONS) == set(PaymentStatus)

    def test_keeps_the_terms(self) -> None:
        payment = payment_in(P)
        others: dict[str, Any] = {
            "id": new_id(),
            "merchant_id": new_id(),
            "correlation_id": new_id(),
            "idempotency_key": "another",
            "payee_account_id": new_id(),
            "amount_minor": 24_999,
            "currency": "EUR",
            "method_type": "WALLET",
            "method_token": "tok_other",
            "method_details": {"bankCode": "HDFC"},
            "captures_at_once": True,
            "return_url": "https://evil.example",
        }
        for column, value in others.items():
            break_it = change(payment, "default", **{column: value})
            assert violated(break_it) == "payment_terms_never_change", column

    def test_is_what_keeps_the_currency(self) -> None:
        # The naive twin of M14: a column like any other.
        payment = payment_in(P)
        with without_trigger("payments.payment", "payment_lifecycle"):
            change(payment, "owner", currency="EUR")()
            assert Payment.objects.using("owner").get(pk=payment.pk).currency == "EUR"

    @pytest.mark.parametrize(
        ("status", "less"),
        [
            (PC, {"captured_minor": 9_999}),
            (PC, {"captured_minor": 0, "status": PC}),
            (PR, {"refunded_minor": 4_999}),
            (VOIDED, {"released_minor": 24_999}),
            (C, {"captured_minor": 9_000, "released_minor": 16_000}),
        ],
    )
    def test_lets_amounts_only_grow(self, status: PaymentStatus, less: dict[str, Any]) -> None:
        assert violated(change_one_in(status, **less)) == "payment_amounts_only_grow"

    def test_is_what_keeps_money_that_was_taken(self) -> None:
        # The naive twin: the constraints alone agree to less, as long as it adds up.
        payment = payment_in(C)
        with without_trigger("payments.payment", "payment_lifecycle"):
            change(payment, "owner", captured_minor=9_000, released_minor=16_000)()


class TestHistory:
    def test_is_written_by_whatever_changes_a_status(self) -> None:
        payment = payment_in(PR)
        change(payment, status=REFUNDED, refunded_minor=10_000)()  # behind the model's back
        steps = StatusChange.objects.filter(payment=payment).order_by("pk")
        assert [(step.status_from, step.status_to) for step in steps] == [
            ("", P),
            (P, A),
            (A, C),
            (C, PR),
            (PR, REFUNDED),
        ]
        assert {step.at for step in steps} == {NOW}

    def test_says_why_a_payment_ended(self) -> None:
        for status, reason in ((D, "do_not_honor"), (F, "processor_unreachable"), (VOIDED, "")):
            payment = payment_in(status)
            assert StatusChange.objects.filter(payment=payment).latest("pk").reason == reason

    def test_has_no_step_for_what_stays_in_its_status(self) -> None:
        payment = payment_in(PC)
        before = StatusChange.objects.filter(payment=payment).count()
        change(payment, captured_minor=11_000)()
        assert StatusChange.objects.filter(payment=payment).count() == before

    def test_holds_every_listed_step(self) -> None:
        listed = {
            (a, b) for a, b in product(PaymentStatus, repeat=2) if a != b and may_follow(a, b)
        }
        for before, after in listed:
            goal = payment_in(after)
            payment = payment_in(before)
            change(payment, status=after, **{name: getattr(goal, name) for name in AMOUNTS})()
            last = StatusChange.objects.filter(payment=payment).latest("pk")
            assert (last.status_from, last.status_to) == (before, after)

    def test_is_never_rewritten(self) -> None:
        payment_in(P)
        for statement in (
            "UPDATE payments.status_change SET status_to = 'CAPTURED'",
            "DELETE FROM payments.status_change",
        ):
            assert refused_state(partial(run, statement)) == "42501", statement

    def test_would_miss_a_change_in_plain_sql_without_the_trigger(self) -> None:
        # The naive twin: history that the model writes.
        payment = payment_in(P)
        with without_trigger("payments.payment", "payment_moves"):
            change(payment, "owner", status=F)()
            found = StatusChange.objects.using("owner").filter(payment_id=payment.pk)
            assert found.latest("pk").status_to == P


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
