"""Turning a proposed resolution down."""

from datetime import datetime
from uuid import UUID

from payments.models import Resolution
from shared import db
from shared.event_bus import operating


def reject_resolution(*, resolution_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """
    Close a proposed resolution without effect; its author may do so, too.

    Publishes Operator.Action.Taken.

    Raises:
        AlreadyDecided, ReasonRequired.

    """
    with db.transaction():
        resolution = Resolution.objects.select_for_update().get(pk=resolution_id)
        resolution.reject(by=actor, now=now)
        resolution.keep_decision()
        operating.tell(
            actor=actor,
            action="payments.resolution.reject",
            subject=str(resolution.operation_id),
            reason=reason,
            now=now,
        )
