"""Reads of messages."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from notifications.models import Contact, Message
from shared.event_bus.standing import Backlog, backlog_of


def messages_backlog(now: datetime) -> Backlog:
    """The messages that are outstanding."""
    return backlog_of(Message, now)


def list_messages_about(event_ids: Collection[UUID]) -> list[Message]:
    """The messages that tell of these events, oldest first."""
    return list(Message.objects.filter(event_id__in=event_ids).order_by("created_at", "pk"))


def contacts_of(merchant_ids: Collection[UUID]) -> dict[UUID, str]:
    """The addresses of those merchants whose address was changed."""
    known = Contact.objects.filter(merchant_id__in=merchant_ids)
    return dict(known.values_list("merchant_id", "email"))
