"""Calling a processor, outside any transaction."""

from collections.abc import Callable

from payments.adapters.registry import processor_named
from payments.domain.processor import Instruction, OperationKind, Outcome, Processor
from payments.use_cases.prepare_calls import Call

_VERBS: dict[OperationKind, Callable[[Processor, Instruction], Outcome]] = {
    OperationKind.AUTHORISE: lambda processor, asked: processor.authorise(asked),
    OperationKind.CAPTURE: lambda processor, asked: processor.capture(asked),
    OperationKind.VOID: lambda processor, asked: processor.void(asked),
    OperationKind.REFUND: lambda processor, asked: processor.refund(asked),
}


def call_processor(*, call: Call) -> Outcome | None:
    """
    Carry out an operation with its processor and return what became of it; None: not its turn.

    An operation whose outcome is in doubt is asked about, never simply sent again. Touches no row.
    """
    processor = processor_named(call.operation.processor)
    if call.operation.was_inquiry:
        return processor.inquire(call.instruction)
    if not call.is_its_turn:
        return None
    return call.answer or _VERBS[call.instruction.kind](processor, call.instruction)
