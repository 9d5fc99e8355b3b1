"""The life of a payment: which status may follow which, pair by pair."""

from itertools import product

from payments.domain.lifecycle import DECIDED, TRANSITIONS, PaymentStatus, may_follow

# Written out a second time on purpose: a change of the table has to be meant.
LISTED = {
    ("PENDING", "IN_REVIEW"),
    ("PENDING", "AUTHORISED"),
    ("PENDING", "DECLINED"),
    ("PENDING", "FAILED"),
    ("IN_REVIEW", "PENDING"),
    ("IN_REVIEW", "DECLINED"),
}


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

    def test_lead_out_of_everything_but_what_is_decided(self) -> None:
        assert {status for status in PaymentStatus if not TRANSITIONS[status]} == DECIDED
