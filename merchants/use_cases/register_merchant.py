"""Registering a merchant."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError

from merchants.models import ApiKey, Merchant
from shared import db
from shared.errors import Conflict
from shared.event_bus import publish
from shared.events.merchants import MerchantAccountRegistered


class MerchantExists(Conflict):
    """A merchant with this e-mail address is registered already."""


@dataclass(frozen=True)
class Registered:
    """A new merchant with its first key; `plain_key` is never readable again."""

    merchant: Merchant
    key: ApiKey
    plain_key: str = field(repr=False)


def register_merchant(*, name: str, email: str, now: datetime) -> Registered:
    """
    Register a merchant, issue its first key and publish Merchant.Account.Registered.

    Raises:
        MerchantExists: the e-mail address is taken, in whatever letter case.

    """
    try:
        return db.run_in_transaction(lambda: _register(name=name, email=email, now=now))
    except IntegrityError as error:
        if db.violated_constraint(error) == "merchant_email_is_unique":
            raise MerchantExists from None
        raise


def _register(*, name: str, email: str, now: datetime) -> Registered:
    merchant = Merchant.register(name=name, email=email, now=now)
    key, plain_key = ApiKey.issue(merchant=merchant, now=now)
    publish(MerchantAccountRegistered(**merchant.facts(now)))
    return Registered(merchant, key, plain_key)
