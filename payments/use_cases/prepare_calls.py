"""Preparing calls to processors: all that a call needs from the database, for a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from payments import vault
from payments.domain.processor import (
    CIRCUIT_OPEN,
    INSTRUMENT_GONE,
    Instruction,
    Instrument,
    OperationKind,
    Outcome,
    OutcomeKind,
)
from payments.models import CircuitBreaker, Operation, Payment


@dataclass(frozen=True)
class Call:
    """
    One call that can be made without the database.

    `answer` is set when the processor need not, or must not, be asked; `is_its_turn` is False for a
    final capture while earlier captures are in flight.
    """

    operation: Operation
    instruction: Instruction
    answer: Outcome | None = None
    is_its_turn: bool = True


def prepare_calls(*, operations: Sequence[Operation], now: datetime) -> list[Call]:
    """
    Read what these operations' calls need, in a few statements for all of them.

    Holds back what would go through an open circuit, but for one call that may try; inquiries
    always go through. Cards are opened here and live as long as their call.
    """
    payments = Payment.objects.in_bulk([operation.payment_id for operation in operations])
    asks = [o for o in operations if o.kind == OperationKind.AUTHORISE and not o.was_inquiry]
    instruments = vault.instruments_of([payments[operation.payment_id] for operation in asks])
    sends = {
        operation.processor
        for operation in operations
        if not operation.was_inquiry and _is_its_turn(operation, payments[operation.payment_id])
    }
    closed = CircuitBreaker.objects.closed_to(sends, now=now)
    return [
        _call(operation, payments[operation.payment_id], instruments, closed)
        for operation in operations
    ]


def _call(
    operation: Operation,
    payment: Payment,
    instruments: Mapping[UUID, Instrument],
    closed: dict[str, bool],
) -> Call:
    instrument = instruments.get(payment.pk)
    is_its_turn = _is_its_turn(operation, payment)
    is_sent = is_its_turn and not operation.was_inquiry
    return Call(
        operation,
        Instruction(
            kind=OperationKind(operation.kind),
            operation_id=operation.pk,
            payment_id=payment.pk,
            amount_minor=operation.amount_minor,
            currency=operation.currency,
            planned_at=operation.created_at,
            instrument=instrument,
            return_url=payment.return_url,
            authorisation_reference=operation.authorisation_reference,
            is_final=operation.is_final,
        ),
        answer=_answer(operation, instrument, closed) if is_sent else None,
        is_its_turn=is_its_turn,
    )


def _answer(
    operation: Operation, instrument: Instrument | None, closed: dict[str, bool]
) -> Outcome | None:
    if operation.kind == OperationKind.AUTHORISE and instrument is None:
        return Outcome(OutcomeKind.DECLINED, reason=INSTRUMENT_GONE)
    if operation.processor in closed and not closed[operation.processor]:
        return Outcome(OutcomeKind.NOT_SENT, reason=CIRCUIT_OPEN)
    if operation.processor in closed:
        closed[operation.processor] = False  # this one tries; the others wait for it
    return None


def _is_its_turn(operation: Operation, payment: Payment) -> bool:
    is_final_capture = operation.kind == OperationKind.CAPTURE and operation.is_final
    return not is_final_capture or payment.capturing_minor <= operation.amount_minor
