"""Sending a message."""

from notifications.adapters.email import send_email
from notifications.models import Message


def send_message(*, message: Message) -> None:
    """Hand a message to the mail server. Raises what the server or the network raises."""
    send_email(message)
