"""Addressing messages that are about to be sent."""

from collections.abc import Sequence

from notifications.domain.templates import goes_where_it_was_addressed
from notifications.models import Message
from notifications.queries import contacts_of


def address_messages(*, messages: Sequence[Message]) -> Sequence[Message]:
    """
    Readdress messages to merchants who are written to elsewhere by now; returns all of them.

    Also those that no mail server took under the old address. What the previous address is told is
    for that address alone.
    """
    contacts = contacts_of({message.merchant_id for message in messages})
    for message in messages:
        email = contacts.get(message.merchant_id, message.recipient)
        if email != message.recipient and not goes_where_it_was_addressed(message.template):
            message.readdress(email)
    return messages
