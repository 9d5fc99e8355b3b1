"""Which events are worth a message, and what the message is called."""

from shared.events.base import DomainEvent
from shared.events.merchants import MerchantApiKeyRotated
from shared.events.payments import (
    PaymentRefundFailed,
    PaymentTransactionAuthorised,
    PaymentTransactionCaptured,
    PaymentTransactionDeclined,
    PaymentTransactionExpired,
    PaymentTransactionFailed,
    PaymentTransactionRefunded,
    PaymentTransactionVoided,
)

TEMPLATES: dict[type[DomainEvent], str] = {
    PaymentTransactionAuthorised: "payment_authorised",
    PaymentTransactionDeclined: "payment_declined",
    PaymentTransactionFailed: "payment_failed",
    PaymentTransactionCaptured: "payment_captured",
    PaymentTransactionVoided: "payment_voided",
    PaymentTransactionExpired: "payment_expired",
    PaymentTransactionRefunded: "payment_refunded",
    PaymentRefundFailed: "refund_failed",
    MerchantApiKeyRotated: "api_key_rotated",
}
"""`notifications/templates/notifications/<name>.{subject.txt,txt,html}`"""
