"""Messages to merchants, and where merchants are written to."""

from notifications.models.contact import Contact
from notifications.models.message import Message

__all__ = ["Contact", "Message"]
