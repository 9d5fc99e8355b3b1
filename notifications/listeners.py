"""What the module reacts to."""

from collections.abc import Sequence

from notifications.use_cases.enqueue_messages import enqueue_messages
from shared.event_bus import listener
from shared.events.merchants import MerchantApiKeyRotated
from shared.events.payments import (
    PaymentTransactionAuthorised,
    PaymentTransactionDeclined,
    PaymentTransactionFailed,
)


@listener("notifications.payment_decided")
def on_payment_decided(
    events: Sequence[
        PaymentTransactionAuthorised | PaymentTransactionDeclined | PaymentTransactionFailed
    ],
) -> None:
    """Tell the merchant."""
    enqueue_messages(events=events)


@listener("notifications.api_key_rotated")
def on_api_key_rotated(events: Sequence[MerchantApiKeyRotated]) -> None:
    """Tell the merchant."""
    enqueue_messages(events=events)
