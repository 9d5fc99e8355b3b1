"""Closing a processor's circuit by hand."""

from datetime import datetime

from payments.models import BreakerState, CircuitBreaker
from shared import db
from shared.errors import Conflict
from shared.event_bus import operating


class CircuitNotOpen(Conflict):
    """This processor is being called already."""


def close_circuit(*, processor: str, actor: str, reason: str, now: datetime) -> None:
    """
    Let calls to a processor through again, because somebody knows that it answers.

    If it does not, as many calls as opened the circuit open it again.
    Publishes Operator.Action.Taken.

    Raises:
        CircuitNotOpen, ReasonRequired.

    """
    with db.transaction():
        breakers = CircuitBreaker.objects.select_for_update().filter(processor=processor)
        if not breakers.exclude(state=BreakerState.CLOSED).exists():
            raise CircuitNotOpen
        CircuitBreaker.objects.note_answers([processor])
        operating.tell(
            actor=actor,
            action="payments.circuit_breaker.close",
            subject=processor,
            reason=reason,
            now=now,
        )
