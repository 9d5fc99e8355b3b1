"""Which events are worth a message, and what the message is called."""

from collections.abc import Iterator

from shared.events.base import DomainEvent
from shared.events.merchants import (
    MerchantAccountContactChanged,
    MerchantAccountRegistered,
    MerchantAccountResumed,
    MerchantAccountSuspended,
    MerchantApiKeyExpired,
    MerchantApiKeyExpiring,
    MerchantApiKeyIssued,
    MerchantApiKeyRevoked,
    MerchantApiKeyRotated,
    MerchantApiKeyRotatedV1,
    MerchantApiKeyShownAgain,
    MerchantEvent,
)
from shared.events.payments import (
    PaymentEvent,
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
    MerchantAccountRegistered: "account_registered",
    MerchantAccountSuspended: "account_suspended",
    MerchantAccountResumed: "account_resumed",
    MerchantAccountContactChanged: "contact_changed",
    MerchantApiKeyIssued: "api_key_issued",
    MerchantApiKeyRotatedV1: "api_keys_rotated",
    MerchantApiKeyRotated: "api_key_rotated",
    MerchantApiKeyShownAgain: "api_key_shown_again",
    MerchantApiKeyExpiring: "api_key_expiring",
    MerchantApiKeyRevoked: "api_key_revoked",
    MerchantApiKeyExpired: "api_key_expired",
}
"""`notifications/templates/notifications/<name>.{subject.txt,txt,html}`, to the merchant."""

PREVIOUS_CONTACT = "contact_changed_from"
"""What the address that a merchant had before is told, in case it was not the merchant's wish."""


def goes_where_it_was_addressed(template: str) -> bool:
    """Whether a message is for the address it was written for, wherever the merchant is now."""
    return template in (PREVIOUS_CONTACT, TEMPLATES[MerchantAccountContactChanged])


def addressed(event: PaymentEvent | MerchantEvent) -> Iterator[tuple[str, str]]:
    """The messages that an event is worth: the name of each, and to whom."""
    yield TEMPLATES[type(event)], event.merchant_email
    if isinstance(event, MerchantAccountContactChanged):
        yield PREVIOUS_CONTACT, event.previous_email
