"""Writing down the messages that events are worth."""

from collections.abc import Sequence

from notifications.domain.templates import addressed
from notifications.models import Message
from shared import db
from shared.event_bus import wake
from shared.events.merchants import MerchantEvent
from shared.events.payments import PaymentEvent


def enqueue_messages(*, events: Sequence[PaymentEvent | MerchantEvent]) -> None:
    """Write the messages that events are worth, due now; an event told before is left alone."""
    with db.transaction():
        Message.objects.enqueue([message for event in events for message in _messages(event)])
        wake("notifications.message")


def _messages(event: PaymentEvent | MerchantEvent) -> list[Message]:
    context = {**event.payload(), "occurredAt": event.occurred_at}
    return [
        Message.about(event, template=template, recipient=recipient, context=context)
        for template, recipient in addressed(event)
    ]
