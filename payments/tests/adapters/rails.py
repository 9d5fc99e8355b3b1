"""The processors under test, as rails that all carry the same operations."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from payments.adapters.acquirer import CardProcessor, NetbankingProcessor, WalletProcessor
from payments.adapters.stripe_processor import StripeProcessor
from payments.domain.processor import (
    Bank,
    Instruction,
    Instrument,
    OperationKind,
    Outcome,
    OutcomeKind,
    Processor,
    ProcessorToken,
    Wallet,
)
from shared.identifiers import new_id

AUTHORISE, CAPTURE, VOID, REFUND = OperationKind
APPROVED, DECLINED, PENDING, NOT_SENT, UNKNOWN = OutcomeKind

ORDINARY = "test"
LATE_SECONDS = 10


@dataclass(frozen=True)
class Rail:
    """A processor, and what it takes to make it do something."""

    processor: Processor
    instrument: Callable[[str], Instrument]

    def send(self, instruction: Instruction) -> Outcome:
        """Carry out an operation, whatever its kind."""
        verbs = {
            AUTHORISE: self.processor.authorise,
            CAPTURE: self.processor.capture,
            VOID: self.processor.void,
            REFUND: self.processor.refund,
        }
        return verbs[instruction.kind](instruction)

    def ask(self, instruction: Instruction) -> Outcome:
        """Inquire about it."""
        return self.processor.inquire(instruction)

    def wanted(self, trigger: str = ORDINARY, **changes: Any) -> Instruction:
        """A hold of 250.00 USD that nobody asked for yet."""
        instruction = Instruction(
            kind=AUTHORISE,
            operation_id=new_id(),
            payment_id=new_id(),
            amount_minor=25_000,
            currency="USD",
            planned_at=datetime.now(UTC),
            instrument=self.instrument(trigger),
        )
        return replace(instruction, **changes)

    def held(self, trigger: str = ORDINARY) -> Instruction:
        """A hold that stands; `authorisation_reference` names it."""
        instruction = self.wanted(trigger)
        outcome = self.send(instruction)
        assert outcome.kind == APPROVED, outcome
        return replace(instruction, authorisation_reference=outcome.reference)

    def captured(self, trigger: str = ORDINARY) -> Instruction:
        """A hold that was captured as a whole."""
        hold = self.held(trigger)
        outcome = self.send(after(hold, CAPTURE, hold.amount_minor))
        assert outcome.kind == APPROVED, outcome
        return hold

    def ready_for(self, kind: OperationKind, trigger: str) -> Instruction:
        """An operation of a kind that may be sent at once, struck by a trigger when it is."""
        if kind == AUTHORISE:
            return self.wanted(trigger)
        trigger = f"{kind.lower()}_{trigger}"
        hold = self.captured(trigger) if kind == REFUND else self.held(trigger)
        return after(hold, kind, 10_000)


def after(hold: Instruction, kind: OperationKind, amount_minor: int, **changes: Any) -> Instruction:
    """Another operation on a hold, under a key of its own."""
    return replace(
        hold,
        kind=kind,
        operation_id=new_id(),
        amount_minor=amount_minor,
        instrument=None,
        planned_at=datetime.now(UTC),
        **changes,
    )


def until(condition: Callable[[], bool], patience_seconds: float = LATE_SECONDS) -> None:
    """Wait for something that another process does by itself."""
    deadline = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


CARD = Rail(CardProcessor("sandbox"), lambda trigger: ProcessorToken(f"tok_{trigger}"))
WALLET = Rail(WalletProcessor("sandbox-wallet"), lambda trigger: Wallet("sample", trigger))
STRIPE = Rail(StripeProcessor(), lambda trigger: ProcessorToken(f"tok_{trigger}"))
BANK = Rail(NetbankingProcessor("sandbox-bank"), lambda trigger: Bank(trigger.upper()))
RAILS = {"card": CARD, "wallet": WALLET, "stripe": STRIPE}
