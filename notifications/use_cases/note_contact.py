"""Remembering where a merchant is written to from now on."""

from collections.abc import Sequence
from uuid import UUID

from notifications.models import Contact
from shared import clock
from shared.events.merchants import MerchantAccountContactChanged


def note_contact(*, events: Sequence[MerchantAccountContactChanged]) -> None:
    """Write whatever is still to be told to the new address; an event heard again is no news."""
    for event in events:
        Contact.objects.note(
            merchant_id=UUID(event.merchant_id),
            email=event.merchant_email,
            changed_at=clock.parse(event.occurred_at),
        )
