"""The port to whoever moves money: what is asked of a processor, and what may become of a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class OperationKind(StrEnum):
    """What a processor is asked to do."""

    AUTHORISE = "AUTHORISE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"


class OutcomeKind(StrEnum):
    """What we know after a call."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"
    """The processor has it and will decide later."""
    NOT_SENT = "NOT_SENT"
    """It certainly did not arrive: sending it again is safe."""
    UNKNOWN = "UNKNOWN"
    """It may have arrived. Ask before sending again; never take it for a failure."""


UNDECIDED = frozenset({OutcomeKind.PENDING, OutcomeKind.UNKNOWN})
"""Outcomes after which the processor is asked, and nothing is sent."""

LAPSED = frozenset({"redirect_expired"})
"""Reasons of a DECLINED that nobody decided: the payer never came. The payment FAILS."""

RESOLVED_BY_PEOPLE = "resolved_by_people"
"""The reason of an outcome that two people agreed on, because the processor would not say."""
CIRCUIT_OPEN = "circuit_open"
"""It was held back, because its processor does not answer."""
INSTRUMENT_GONE = "token_deleted"
INSTRUMENT_NOT_TAKEN = "instrument_not_taken"
CURRENCY_NOT_TAKEN = "currency_not_taken"
NOT_ASKED = frozenset(
    {RESOLVED_BY_PEOPLE, CIRCUIT_OPEN, INSTRUMENT_GONE, INSTRUMENT_NOT_TAKEN, CURRENCY_NOT_TAKEN}
)
"""Reasons of outcomes for which no processor was asked: they say nothing about its health."""


@dataclass(frozen=True)
class Redirect:
    """Where the payer must go before the processor can decide."""

    url: str
    expires_at: datetime


@dataclass(frozen=True)
class Outcome:
    """
    What became of a call; `reason` is a code in snake_case for people and programs.

    A DECLINED that `is_retryable` may be sent again, or elsewhere: the issuer could not answer.
    `redirect` comes with PENDING only.
    """

    kind: OutcomeKind
    reference: str = ""
    reason: str = ""
    is_retryable: bool = False
    redirect: Redirect | None = None


@dataclass(frozen=True)
class Card:
    """A card as the vault reveals it for one call; `number` is shown by no repr."""

    number: str = field(repr=False)
    exp_month: int
    exp_year: int


@dataclass(frozen=True)
class Wallet:
    """A payer's account with a wallet provider."""

    provider: str
    wallet_id: str


@dataclass(frozen=True)
class Bank:
    """A bank whose own pages ask the payer."""

    code: str


@dataclass(frozen=True)
class ProcessorToken:
    """A token of the processor's own, passed through: the sandbox's triggers, Stripe's `pm_…`."""

    token: str


Instrument = Card | Wallet | Bank | ProcessorToken


@dataclass(frozen=True)
class Instruction:
    """
    One call to a processor; `operation_id` is its idempotency key there.

    `instrument` and `return_url` come with AUTHORISE; `authorisation_reference`, the processor's
    name of the hold, with all others. `is_final` matters to CAPTURE alone: the rest of the hold is
    released with it. `planned_at` tells an inquiry how far back to look.
    """

    kind: OperationKind
    operation_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    planned_at: datetime
    instrument: Instrument | None = None
    return_url: str = ""
    authorisation_reference: str = ""
    is_final: bool = True


class CallbackNotAuthentic(Exception):
    """The callback is not signed by the processor it names."""


class Processor(Protocol):
    """
    Whom we call to move money. Calls happen outside transactions and are bounded in time.

    Implementations never raise for what the other side does: every doubt is UNKNOWN, and NOT_SENT
    only what certainly never arrived. An answer about another amount or currency than was asked
    for is a doubt (`amount_mismatch`), too.
    """

    name: str

    def authorise(self, instruction: Instruction) -> Outcome:
        """Hold the amount; the same operation id is held once however often it is sent."""
        ...

    def capture(self, instruction: Instruction) -> Outcome:
        """Take an amount from the hold."""
        ...

    def void(self, instruction: Instruction) -> Outcome:
        """Release what is left of the hold; one released before is APPROVED."""
        ...

    def refund(self, instruction: Instruction) -> Outcome:
        """Give captured money back."""
        ...

    def inquire(self, instruction: Instruction) -> Outcome:
        """What became of an operation; an authoritative "never heard of it" is NOT_SENT."""
        ...

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> UUID | None:
        """
        The operation that a callback is about, or None for one that concerns none of ours.

        `headers` have lower-case names. What the callback says of the outcome is not believed: the
        processor is asked. Raises: CallbackNotAuthentic.
        """
        ...
