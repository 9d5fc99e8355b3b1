"""What the module reacts to."""

from collections.abc import Sequence

from notifications.use_cases.enqueue_messages import enqueue_messages
from notifications.use_cases.note_contact import note_contact
from shared.event_bus import listener
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
)
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


# One listener for all of them: a merchant reads of a capture after its authorisation.
@listener("notifications.tell_of_payment")
def on_payment_moved(
    events: Sequence[
        PaymentTransactionAuthorised
        | PaymentTransactionDeclined
        | PaymentTransactionFailed
        | PaymentTransactionCaptured
        | PaymentTransactionVoided
        | PaymentTransactionExpired
        | PaymentTransactionRefunded
        | PaymentRefundFailed
    ],
) -> None:
    """Tell the merchant."""
    enqueue_messages(events=events)


@listener("notifications.api_key_rotated")
def on_api_key_rotated(events: Sequence[MerchantApiKeyRotated | MerchantApiKeyRotatedV1]) -> None:
    """Tell the merchant."""
    enqueue_messages(events=events)


@listener("notifications.tell_of_account")
def on_account_changed(
    events: Sequence[
        MerchantAccountRegistered
        | MerchantAccountSuspended
        | MerchantAccountResumed
        | MerchantAccountContactChanged
        | MerchantApiKeyIssued
        | MerchantApiKeyShownAgain
        | MerchantApiKeyExpiring
        | MerchantApiKeyRevoked
        | MerchantApiKeyExpired
    ],
) -> None:
    """Tell the merchant, and of another address also the old one."""
    enqueue_messages(events=events)


@listener("notifications.note_contact")
def on_contact_changed(events: Sequence[MerchantAccountContactChanged]) -> None:
    """Write to the new address from now on."""
    note_contact(events=events)
