"""
The life of a payment, as data: which status may follow which.

Anything not listed is refused three times: by `Payment`, by the WHERE of its UPDATE, and by a
trigger that the migrations generate from this table.
"""

from enum import StrEnum


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "PENDING"
    """Accepted, not decided."""
    IN_REVIEW = "IN_REVIEW"
    """Fraud asks an operator."""
    AUTHORISED = "AUTHORISED"
    """The processor holds the funds."""
    DECLINED = "DECLINED"
    """Fraud or the issuer decided against it."""
    FAILED = "FAILED"
    """It could not be done, for technical reasons."""


TRANSITIONS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.PENDING: frozenset(
        {
            PaymentStatus.IN_REVIEW,
            PaymentStatus.AUTHORISED,
            PaymentStatus.DECLINED,
            PaymentStatus.FAILED,
        }
    ),
    PaymentStatus.IN_REVIEW: frozenset({PaymentStatus.PENDING, PaymentStatus.DECLINED}),
    PaymentStatus.AUTHORISED: frozenset(),
    PaymentStatus.DECLINED: frozenset(),
    PaymentStatus.FAILED: frozenset(),
}

DECIDED = frozenset({PaymentStatus.AUTHORISED, PaymentStatus.DECLINED, PaymentStatus.FAILED})


def may_follow(before: PaymentStatus, after: PaymentStatus) -> bool:
    """Whether a payment may go from one status to the other."""
    return after in TRANSITIONS[before]
