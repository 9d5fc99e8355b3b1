"""What `notifications` publishes."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class NotificationMessageSent(DomainEvent):
    """
    Published when the mail server took a message; `subject_id` is the message's id.

    Tells that it was handed over, not that anybody read it.
    """

    event_type: ClassVar[str] = "Notification.Message.Sent"

    template: str
    channel: str
    cause_event_id: str


@dataclass(frozen=True, kw_only=True)
class NotificationDeliveryExhausted(DomainEvent):
    """
    Published when a message was given up after its last retry and parked for an operator.

    It was not delivered; an operator may send it again.
    """

    event_type: ClassVar[str] = "Notification.Delivery.Exhausted"

    template: str
    channel: str
    cause_event_id: str
