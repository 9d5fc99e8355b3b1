"""The port to whoever moves money, and what may become of a call."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID


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


IN_DOUBT = frozenset({OutcomeKind.PENDING, OutcomeKind.UNKNOWN})


@dataclass(frozen=True)
class Outcome:
    """What became of a call; `reason` is a code in snake_case for people and programs."""

    kind: OutcomeKind
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Authorisation:
    """A request to hold funds; `operation_id` is the idempotency key at the processor."""

    operation_id: UUID
    amount_minor: int
    currency: str
    method_type: str
    token: str


class Processor(Protocol):
    """
    Whom we call to move money. Calls happen outside transactions and are bounded in time.

    Implementations never raise for what the other side does: every doubt is UNKNOWN, and NOT_SENT
    only what certainly never left.
    """

    name: str

    def authorise(self, request: Authorisation) -> Outcome:
        """Hold the amount; the same operation id is held once however often it is sent."""
        ...

    def inquire(self, operation_id: UUID) -> Outcome:
        """What became of an operation; an authoritative "never heard of it" is NOT_SENT."""
        ...
