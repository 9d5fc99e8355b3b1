"""
The events of moved money, made from plain facts.

Both who publishes them and who only wants to know what would be published make them here.
`facts` are what every event about a payment carries (`Payment.facts`), with the `processor`.
"""

from typing import Any

from shared.events.payments import (
    PaymentRefundFailed,
    PaymentTransactionCaptured,
    PaymentTransactionExpired,
    PaymentTransactionRefunded,
    PaymentTransactionVoided,
)


def captured(
    facts: dict[str, Any],
    *,
    operation_id: object,
    captured_minor: int,
    total_minor: int,
    released_minor: int,
    is_final: bool,
) -> PaymentTransactionCaptured:
    """An amount was taken, and with a final capture the rest released."""
    return PaymentTransactionCaptured(
        **facts,
        operation_id=str(operation_id),
        captured_amount_minor=captured_minor,
        total_captured_amount_minor=total_minor,
        released_amount_minor=released_minor,
        is_final=is_final,
    )


def released(
    facts: dict[str, Any],
    *,
    operation_id: object,
    released_minor: int,
    is_expiry: bool,
) -> PaymentTransactionVoided | PaymentTransactionExpired:
    """What was held is held no more."""
    event = PaymentTransactionExpired if is_expiry else PaymentTransactionVoided
    return event(
        **facts,
        operation_id=str(operation_id),
        released_amount_minor=released_minor,
    )


def refunded(
    facts: dict[str, Any],
    *,
    refund_id: object,
    refunded_minor: int,
    total_minor: int,
    reason: str,
) -> PaymentTransactionRefunded:
    """An amount was given back."""
    return PaymentTransactionRefunded(
        **facts,
        refund_id=str(refund_id),
        refunded_amount_minor=refunded_minor,
        total_refunded_amount_minor=total_minor,
        reason=reason,
    )


def refund_failed(
    facts: dict[str, Any], *, refund_id: object, amount_minor: int, reason: str
) -> PaymentRefundFailed:
    """An amount was not given back."""
    return PaymentRefundFailed(
        **facts,
        refund_id=str(refund_id),
        refund_amount_minor=amount_minor,
        reason=reason,
    )
