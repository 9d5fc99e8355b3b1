"""Proposing what became of an operation that its processor does not answer for."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from payments.domain.processor import OperationKind
from payments.models import Operation, Resolution, Verdict
from shared import db
from shared.errors import Conflict, Invalid
from shared.event_bus import operating


class OperationNotInDoubt(Conflict):
    """Only an operation that is in doubt, or parked, is resolved by people."""


class AlreadyProposed(Conflict):
    """A resolution of this operation waits for a second person already."""


class ReferenceRequired(Invalid):
    """An authorisation that was done has a reference at its processor: captures need it."""


def propose_resolution(
    *,
    operation_id: UUID,
    verdict: Verdict,
    processor_reference: str = "",
    actor: str,
    reason: str,
    now: datetime,
) -> Resolution:
    """
    Say that an operation was done (APPROVED) or was not (FAILED), for somebody else to confirm.

    Inquiries go on meanwhile. Publishes Operator.Action.Taken.

    Raises:
        OperationNotInDoubt, AlreadyProposed, ReferenceRequired, ReasonRequired.

    """
    with db.transaction():
        operation = Operation.objects.select_for_update().get(pk=operation_id)
        _check(operation, verdict, processor_reference)
        operating.tell(
            actor=actor,
            action=f"payments.resolution.propose_{verdict.lower()}",
            subject=str(operation.pk),
            reason=reason,
            now=now,
        )
        facts = {"verdict": verdict, "processor_reference": processor_reference, "reason": reason}
        try:
            return Resolution.propose(operation, by=actor, now=now, **facts)
        except IntegrityError as error:
            if db.violated_constraint(error) == "resolution_one_at_a_time":
                raise AlreadyProposed from None
            raise


def _check(operation: Operation, verdict: Verdict, processor_reference: str) -> None:
    if not operation.needs_people:
        raise OperationNotInDoubt
    is_hold = operation.kind == OperationKind.AUTHORISE and verdict == Verdict.APPROVED
    if is_hold and not processor_reference:
        raise ReferenceRequired
