"""The life of a payment: which status may follow which, pair by pair."""

from itertools import product

import pytest

from payments.domain.lifecycle import (
    DECIDED,
    HOLDING,
    TRANSITIONS,
    PaymentStatus,
    may_follow,
    status_without_hold,
)

# Written out a second time on purpose: a change of the table has to be meant.
LISTED = {
    ("PENDING", "IN_REVIEW"),
    ("PENDING", "AUTHORISED"),
    ("PENDING", "DECLINED"),
    ("PENDING", "FAILED"),
    ("IN_REVIEW", "PENDING"),
    ("IN_REVIEW", "DECLINED"),
    ("AUTHORISED", "VOIDED"),
    ("AUTHORISED", "EXPIRED"),
    ("AUTHORISED", "PARTIALLY_CAPTURED"),
    ("AUTHORISED", "CAPTURED"),
    ("PARTIALLY_CAPTURED", "PARTIALLY_CAPTURED"),
    ("PARTIALLY_CAPTURED", "CAPTURED"),
    ("PARTIALLY_CAPTURED", "PARTIALLY_REFUNDED"),
    ("PARTIALLY_CAPTURED", "REFUNDED"),
    ("CAPTURED", "PARTIALLY_REFUNDED"),
    ("CAPTURED", "REFUNDED"),
    ("PARTIALLY_REFUNDED", "PARTIALLY_REFUNDED"),
    ("PARTIALLY_REFUNDED", "REFUNDED"),
}
FINAL = {"DECLINED", "FAILED", "VOIDED", "EXPIRED", "REFUNDED"}


class TestTransitions:
    def test_are_those_listed_and_no_others(self) -> None:
        found = {
            (before.value, after.value)
            for before, after in product(PaymentStatus, repeat=2)
            if may_follow(before, after)
        }
        assert found == LISTED

    def test_tell_of_every_status(self) -> None:
        assert set(TRANSITIONS) == set(PaymentStatus)

    def test_lead_from_pending_to_every_status(self) -> None:
        reached = {PaymentStatus.PENDING}
        for _ in PaymentStatus:
            reached |= {after for before in reached for after in TRANSITIONS[before]}
        assert reached == set(PaymentStatus)

    def test_lead_out_of_everything_but_what_is_final(self) -> None:
        assert {status for status in PaymentStatus if not TRANSITIONS[status]} == FINAL

    def test_never_lead_back_from_what_is_decided(self) -> None:
        for status in DECIDED:
            assert TRANSITIONS[status] <= DECIDED
        assert set(PaymentStatus) - DECIDED == {"PENDING", "IN_REVIEW"}

    def test_never_lead_back_to_a_hold(self) -> None:
        for status in DECIDED - HOLDING:
            assert not TRANSITIONS[status] & HOLDING


class TestStatusWithoutHold:
    @pytest.mark.parametrize(
        ("refunded_minor", "status"),
        [(0, "CAPTURED"), (1, "PARTIALLY_REFUNDED"), (99, "PARTIALLY_REFUNDED"), (100, "REFUNDED")],
    )
    def test_follows_the_amounts(self, refunded_minor: int, status: str) -> None:
        found = status_without_hold(captured_minor=100, refunded_minor=refunded_minor)
        assert found == status
