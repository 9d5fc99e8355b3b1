"""
The life of a payment, as data: which status may follow which.

Anything not listed is refused three times: by `Payment`, by the WHERE of its UPDATE, and by a
trigger that a migration writes from this table.
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
    PARTIALLY_CAPTURED = "PARTIALLY_CAPTURED"
    """Some was taken, and some is still held."""
    CAPTURED = "CAPTURED"
    """Taken; nothing is held any more."""
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    """Some of what was taken was given back."""
    REFUNDED = "REFUNDED"
    """All that was taken was given back."""
    VOIDED = "VOIDED"
    """Released before anything was taken."""
    EXPIRED = "EXPIRED"
    """Released because nobody captured it in time."""
    DECLINED = "DECLINED"
    """Fraud or the issuer decided against it."""
    FAILED = "FAILED"
    """It could not be done, for technical reasons."""


_S = PaymentStatus
_WITHOUT_HOLD = frozenset({_S.CAPTURED, _S.PARTIALLY_REFUNDED, _S.REFUNDED})

TRANSITIONS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    _S.PENDING: frozenset({_S.IN_REVIEW, _S.AUTHORISED, _S.DECLINED, _S.FAILED}),
    _S.IN_REVIEW: frozenset({_S.PENDING, _S.DECLINED}),
    _S.AUTHORISED: frozenset({_S.VOIDED, _S.EXPIRED, _S.PARTIALLY_CAPTURED, _S.CAPTURED}),
    # A refund may come while some is still held; once nothing is, the status follows the amounts.
    _S.PARTIALLY_CAPTURED: frozenset({_S.PARTIALLY_CAPTURED}) | _WITHOUT_HOLD,
    _S.CAPTURED: frozenset({_S.PARTIALLY_REFUNDED, _S.REFUNDED}),
    _S.PARTIALLY_REFUNDED: frozenset({_S.PARTIALLY_REFUNDED, _S.REFUNDED}),
    _S.REFUNDED: frozenset(),
    _S.VOIDED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.DECLINED: frozenset(),
    _S.FAILED: frozenset(),
}

HOLDING = frozenset({_S.AUTHORISED, _S.PARTIALLY_CAPTURED})
"""Something is held: it can be captured, voided, or expire."""
DECIDED = frozenset(_S) - {_S.PENDING, _S.IN_REVIEW}


def may_follow(before: PaymentStatus, after: PaymentStatus) -> bool:
    """Whether a payment may go from one status to the other."""
    return after in TRANSITIONS[before]


def status_without_hold(*, captured_minor: int, refunded_minor: int) -> PaymentStatus:
    """What a payment is once something was captured and nothing is held."""
    if refunded_minor == 0:
        return PaymentStatus.CAPTURED
    if refunded_minor < captured_minor:
        return PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus.REFUNDED
