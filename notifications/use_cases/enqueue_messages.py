"""Writing down the messages that events are worth."""

from collections.abc import Sequence

from notifications.domain.templates import TEMPLATES
from notifications.models import Message
from shared import db
from shared.event_bus import wake
from shared.events.merchants import MerchantEvent
from shared.events.payments import PaymentEvent


def enqueue_messages(*, events: Sequence[PaymentEvent | MerchantEvent]) -> None:
    """Write one message per event, due now; an event told before is left alone."""
    with db.transaction():
        Message.objects.enqueue([_message(event) for event in events])
        wake("notifications.message")


def _message(event: PaymentEvent | MerchantEvent) -> Message:
    return Message.about(
        event,
        template=TEMPLATES[type(event)],
        recipient=event.merchant_email,
        context={**event.payload(), "occurredAt": event.occurred_at},
    )
