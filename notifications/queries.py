"""Reads of messages."""

from datetime import datetime

from notifications.models import Message
from shared.event_bus.standing import Backlog, backlog_of


def messages_backlog(now: datetime) -> Backlog:
    """The messages that are outstanding."""
    return backlog_of(Message, now)
