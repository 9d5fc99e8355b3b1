"""Recording what became of calls to processors, for a batch."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from payments.domain.processor import NOT_ASKED, Outcome, OutcomeKind
from payments.models import CircuitBreaker, Operation, Payment
from payments.use_cases.draw_consequences import Consequences, draw_consequences
from shared import db
from shared.event_bus import publish, wake

_SILENCE = frozenset({OutcomeKind.UNKNOWN, OutcomeKind.NOT_SENT})
Finished = Sequence[tuple[Operation, Outcome | None]]


def record_outcomes(*, finished: Finished, now: datetime) -> None:
    """
    Move payments to where their processors' answers put them.

    What was done moves its payment on; what certainly was not gives its reserved amount back, after
    other processors or further tries; anything unknown leaves the payment in doubt, and the
    operation due for an inquiry. What turns out to be done after it was given up is booked if it
    still can be, and reversed otherwise. None as an outcome: it was not its turn.
    Publishes Payment.Transaction.Authorised, …Declined, …Failed, …Captured, …Voided, …Expired,
    …Refunded and Payment.Refund.Failed.
    """
    silent, answering = _health(finished)
    with db.transaction():
        payments = Payment.objects.locked([operation.payment_id for operation, _ in finished])
        consequences = Consequences()
        for operation, outcome in finished:
            if outcome is None:
                operation.wait_for_its_turn(now=now)
            else:
                operation.conclude(outcome, now=now)
                payment = payments[str(operation.payment_id)]
                consequences += draw_consequences(
                    payment=payment, operation=operation, outcome=outcome, now=now
                )
        operations = [operation for operation, _ in finished]
        Operation.objects.write_outcomes(operations)
        _note_doubts(payments.values(), operations, now)
        Payment.objects.write(list(payments.values()))
        Operation.objects.plan(consequences.planned)
        publish(*consequences.events)
        for processor in sorted(answering | silent.keys()):  # one order of locks for everybody
            if processor in answering:
                CircuitBreaker.objects.note_answers([processor])
            if processor in silent:
                CircuitBreaker.objects.note_silence(processor, silent[processor], now=now)
        if consequences.planned or any(operation.is_open for operation in operations):
            wake("payments.operation")


def _note_doubts(
    payments: Iterable[Payment], operations: Sequence[Operation], now: datetime
) -> None:
    doubtful: set[Any] = {o.payment_id for o in operations if o.is_in_doubt}
    perhaps = [p.pk for p in payments if p.in_doubt and p.pk not in doubtful]
    doubtful |= Operation.objects.payments_in_doubt(perhaps)
    for payment in payments:
        payment.note_doubt(in_doubt=payment.pk in doubtful, now=now)


def _health(finished: Finished) -> tuple[Counter[str], set[str]]:
    """How often each processor did not answer, and which ones did. Looked at before concluding."""
    asked = [
        (operation, outcome)
        for operation, outcome in finished
        if outcome is not None and outcome.reason not in NOT_ASKED
    ]
    silent = Counter(o.processor for o, outcome in asked if _is_silence(o, outcome))
    return silent, {o.processor for o, outcome in asked if _is_answer(o, outcome)}


def _is_silence(operation: Operation, outcome: Outcome) -> bool:
    # Inquiries go through an open circuit: counted, they would keep it open for as long as one of
    # them has no answer.
    return not operation.was_inquiry and outcome.kind in _SILENCE


def _is_answer(operation: Operation, outcome: Outcome) -> bool:
    is_told_of_nothing = operation.was_inquiry and outcome.kind == OutcomeKind.NOT_SENT
    return outcome.kind not in _SILENCE or is_told_of_nothing
