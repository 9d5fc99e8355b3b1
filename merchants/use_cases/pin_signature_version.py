"""Pinning the weakest signature a merchant accepts."""

from datetime import datetime
from uuid import UUID

from merchants.models import Merchant
from merchants.queries import lock_merchant
from shared import db
from shared.event_bus.operating import tell


def pin_signature_version(
    *, merchant_id: UUID, version: int, actor: str, reason: str, now: datetime
) -> Merchant:
    """Refuse weaker signatures than `version` (1 or 2) from this merchant; an operator's action."""
    with db.transaction():
        merchant = lock_merchant(merchant_id)
        merchant.pin_signature_version(version)
        tell(
            actor=actor,
            action="merchants.signature_version.pin",
            subject=f"{merchant_id} v{version}",
            reason=reason,
            now=now,
        )
    return merchant
