"""Recording what became of messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from notifications.models import Message
from shared import clock, db
from shared.event_bus import publish
from shared.events.notifications import NotificationDeliveryExhausted, NotificationMessageSent


def record_sent(*, messages: Sequence[Message], now: datetime) -> None:
    """Note that messages were handed over and publish Notification.Message.Sent for each."""
    with db.transaction():
        Message.objects.note_sent([message.pk for message in messages], now=now)
        publish(*(NotificationMessageSent(**_facts(message, now)) for message in messages))


def record_exhausted(*, message: Message, now: datetime) -> None:
    """Publish Notification.Delivery.Exhausted for a message that was given up and parked."""
    publish(NotificationDeliveryExhausted(**_facts(message, now)))


def _facts(message: Message, now: datetime) -> dict[str, Any]:
    return {
        "correlation_id": str(message.correlation_id),
        "subject_id": str(message.pk),
        "merchant_id": str(message.merchant_id),
        "occurred_at": clock.iso(now),
        "template": message.template,
        "channel": "email",
        "cause_event_id": str(message.event_id),
    }
