"""Correcting where a merchant is written to."""

from datetime import datetime
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError

from merchants import conf
from merchants.models import Merchant
from merchants.queries import lock_merchant
from merchants.use_cases.register_merchant import MerchantExists
from shared import db
from shared.errors import Conflict, Invalid
from shared.event_bus import publish
from shared.event_bus.operating import tell
from shared.events.merchants import MerchantAccountContactChanged


class NotAnAddress(Invalid):
    """This is no e-mail address."""


class SameAddress(Conflict):
    """The merchant has this e-mail address already."""


def change_contact(
    *, merchant_id: UUID, email: str, actor: str, reason: str, now: datetime
) -> Merchant:
    """
    Write to a merchant at another address from now on; the old one and the new one are told.

    Publishes Merchant.Account.ContactChanged and Operator.Action.Taken, which names no address.

    Raises:
        MerchantNotFound: there is no such merchant.
        NotAnAddress: it cannot be written to.
        SameAddress: nothing would change.
        MerchantExists: the address is another merchant's, in whatever letter case.
        ReasonRequired: the reason is empty.

    """
    _expect_address(email)
    try:
        return db.run_in_transaction(lambda: _change(merchant_id, email, actor, reason, now))
    except IntegrityError as error:
        if db.violated_constraint(error) == "merchant_email_is_unique":
            raise MerchantExists from None
        raise


def _change(merchant_id: UUID, email: str, actor: str, reason: str, now: datetime) -> Merchant:
    merchant = lock_merchant(merchant_id)
    if merchant.email == email:
        raise SameAddress
    previous = merchant.change_email(email)
    publish(MerchantAccountContactChanged(**merchant.facts(now), previous_email=previous))
    about = str(merchant_id)
    tell(actor=actor, action="merchants.account.contact", subject=about, reason=reason, now=now)
    return merchant


def _expect_address(email: str) -> None:
    # Django's own check takes control characters between quotes.
    try:
        validate_email(email)
    except ValidationError:
        raise NotAnAddress from None
    if not email.isprintable() or len(email) > conf.MAX_EMAIL_LENGTH:
        raise NotAnAddress
