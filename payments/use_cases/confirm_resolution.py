"""Confirming what became of an operation, as its second person."""

from datetime import datetime
from uuid import UUID

from payments.domain.processor import RESOLVED_BY_PEOPLE, Outcome, OutcomeKind
from payments.models import Operation, Resolution, Verdict
from payments.use_cases.propose_resolution import OperationNotInDoubt
from payments.use_cases.record_outcomes import record_outcomes
from shared import db
from shared.event_bus import operating


def confirm_resolution(*, resolution_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """
    Let a proposed resolution take effect as the processor's own answer would.

    A worker that is asking the processor at this moment finds its claim void. What the processor
    says later is still heard: a late success is booked or reversed.
    Publishes Operator.Action.Taken and what the outcome leads to.

    Raises:
        TakesTwoPeople, AlreadyDecided.
        OperationNotInDoubt: its processor has answered meanwhile.

    """
    with db.transaction():
        found = Resolution.objects.get(pk=resolution_id)
        operation = Operation.objects.taken_from_workers(found.operation_id)
        resolution = Resolution.objects.select_for_update().get(pk=resolution_id)
        resolution.confirm(by=actor, now=now)
        if not operation.needs_people:
            raise OperationNotInDoubt
        resolution.keep_decision()
        record_outcomes(finished=[(operation, _outcome(resolution))], now=now)
        operating.tell(
            actor=actor,
            action="payments.resolution.confirm",
            subject=str(operation.pk),
            reason=reason,
            now=now,
        )


def _outcome(resolution: Resolution) -> Outcome:
    was_done = resolution.verdict == Verdict.APPROVED
    return Outcome(
        OutcomeKind.APPROVED if was_done else OutcomeKind.NOT_SENT,
        reference=resolution.processor_reference,
        reason=RESOLVED_BY_PEOPLE,
    )
