"""Turning a proposed correction of the books down."""

from datetime import datetime
from uuid import UUID

from ledger.queries import lock_adjustment
from shared import db
from shared.event_bus.operating import tell


def reject_adjustment(*, adjustment_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """
    Turn an adjustment down for good, or take one's own back; nothing is posted.

    Publishes Operator.Action.Taken.

    Raises:
        AdjustmentNotFound: there is no such adjustment.
        AlreadyDecided: it was confirmed or rejected before.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        adjustment = lock_adjustment(adjustment_id)
        adjustment.reject(by=actor, now=now)
        adjustment.keep_decision()
        tell(
            actor=actor,
            action="ledger.adjustment.reject",
            subject=str(adjustment),
            reason=reason,
            now=now,
        )
