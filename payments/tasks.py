"""The module's outside work: calls to processors."""

from collections.abc import Sequence
from datetime import datetime

from payments import conf
from payments.domain.processor import Outcome
from payments.models import Operation
from payments.use_cases.call_processor import call_processor
from payments.use_cases.expire_holds import expire_holds
from payments.use_cases.prepare_calls import Call, prepare_calls
from payments.use_cases.record_outcomes import record_outcomes
from shared import clock
from shared.event_bus import DISPATCHER, every, intent, scheduled


def prepare(operations: Sequence[Operation]) -> list[Call]:
    """Read what the calls need."""
    return prepare_calls(operations=operations, now=clock.now())


def record(finished: Sequence[tuple[Operation, Outcome | None]]) -> None:
    """Record what became of the calls."""
    record_outcomes(finished=finished, now=clock.now())


@intent(
    "payments.operation",
    rows=Operation,
    runs_in=DISPATCHER,
    prepare=prepare,
    record=record,
    lease_seconds=conf.CALL_LEASE_SECONDS,
    by_merchant=True,
)
def run_operation(call: Call) -> Outcome | None:
    """Call the processor."""
    return call_processor(call=call)


@scheduled("payments.expire_holds", every(seconds=conf.EXPIRE_EVERY_SECONDS))
def expire_overdue_holds(*, now: datetime) -> None:
    """Release what was not captured in time."""
    expire_holds(now=now)
