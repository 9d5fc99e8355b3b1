"""The module's outside work: calls to processors."""

from collections.abc import Sequence

from payments import conf
from payments.domain.processor import Outcome
from payments.models import Operation
from payments.use_cases.call_processor import call_processor
from payments.use_cases.record_outcomes import record_outcomes
from shared import clock
from shared.event_bus import DISPATCHER, intent


def record(finished: Sequence[tuple[Operation, Outcome]]) -> None:
    """Record what became of the calls."""
    record_outcomes(finished=finished, now=clock.now())


@intent(
    "payments.operation",
    rows=Operation,
    runs_in=DISPATCHER,
    record=record,
    lease_seconds=conf.CALL_LEASE_SECONDS,
)
def run_operation(operation: Operation) -> Outcome:
    """Call the processor."""
    return call_processor(operation=operation)
