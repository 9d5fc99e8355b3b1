"""Suspending a merchant."""

from datetime import datetime
from uuid import UUID

from merchants.models import Merchant
from merchants.queries import lock_merchant
from shared import db
from shared.event_bus import publish
from shared.event_bus.operating import tell
from shared.events.merchants import MerchantAccountSuspended


def suspend_merchant(*, merchant_id: UUID, actor: str, reason: str, now: datetime) -> Merchant:
    """
    Answer a merchant's reads only, from its next request on, and tell who decided it and why.

    Its changes are 403 `merchant_suspended`; what is under way ends, and its money is booked.
    Publishes Merchant.Account.Suspended and Operator.Action.Taken.

    Raises:
        MerchantNotFound: there is no such merchant.
        AlreadySuspended: it is suspended already.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        merchant = lock_merchant(merchant_id)
        merchant.suspend(now=now)
        publish(MerchantAccountSuspended(**merchant.facts(now)))
        about = str(merchant_id)
        tell(actor=actor, action="merchants.account.suspend", subject=about, reason=reason, now=now)
    return merchant
