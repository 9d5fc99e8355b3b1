"""Which events are worth a message, and what the message is called."""

from shared.events.base import DomainEvent
from shared.events.merchants import MerchantApiKeyRotated
from shared.events.payments import (
    PaymentTransactionAuthorised,
    PaymentTransactionDeclined,
    PaymentTransactionFailed,
)

TEMPLATES: dict[type[DomainEvent], str] = {
    PaymentTransactionAuthorised: "payment_authorised",
    PaymentTransactionDeclined: "payment_declined",
    PaymentTransactionFailed: "payment_failed",
    MerchantApiKeyRotated: "api_key_rotated",
}
"""`notifications/templates/notifications/<name>.{subject.txt,txt,html}`"""
