"""A processor that answers as commands say, and keeps a book of what it truly did."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from payflow.tests.machine.calls import INQUIRE, SEND
from payments.domain.processor import (
    CallbackNotAuthentic,
    Instruction,
    OperationKind,
    Outcome,
    OutcomeKind,
)

Line = tuple[str, int]
"""Of the book: what was done, and with which amount."""


@dataclass(frozen=True)
class Answer:
    """What a processor says to one call, and whether it has then done what it was asked."""

    says: str
    is_done: bool

    def __str__(self) -> str:
        """What it says; marked when it does otherwise."""
        return self.says + ("" if self.is_done == (self.says == "APPROVED") else "*")


class ScriptedProcessor:
    """The outside world: one answer per call was laid down before, and any other is an error."""

    name = "sandbox"

    def __init__(self) -> None:
        """An empty book."""
        self.book: dict[UUID, Line] = {}
        self.script: dict[UUID, Answer] = {}
        self.calls: list[tuple[UUID, str]] = []
        """What was asked since somebody last looked."""

    def authorise(self, instruction: Instruction) -> Outcome:
        """Hold."""
        return self._answer(instruction, SEND, OperationKind.AUTHORISE)

    def capture(self, instruction: Instruction) -> Outcome:
        """Take."""
        return self._answer(instruction, SEND, OperationKind.CAPTURE)

    def void(self, instruction: Instruction) -> Outcome:
        """Release."""
        return self._answer(instruction, SEND, OperationKind.VOID)

    def refund(self, instruction: Instruction) -> Outcome:
        """Give back."""
        return self._answer(instruction, SEND, OperationKind.REFUND)

    def inquire(self, instruction: Instruction) -> Outcome:
        """Say what became of it."""
        return self._answer(instruction, INQUIRE, instruction.kind)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> UUID | None:
        """The operation that the body names."""
        if headers.get("x-signature") != "signed":
            raise CallbackNotAuthentic
        return UUID(body.decode())

    def _answer(self, instruction: Instruction, step: str, kind: OperationKind) -> Outcome:
        operation_id = instruction.operation_id
        self.calls.append((operation_id, step))
        answer = self.script.pop(operation_id)
        if answer.is_done:
            line = (kind.lower(), instruction.amount_minor)
            assert self.book.setdefault(operation_id, line) == line
        reference = f"ref_{operation_id.hex}" if answer.says == "APPROVED" else ""
        if answer.says == "RETRYABLE":
            return Outcome(OutcomeKind.DECLINED, reason="issuer_unavailable", is_retryable=True)
        return Outcome(OutcomeKind(answer.says), reference, reason="" if reference else "scripted")
