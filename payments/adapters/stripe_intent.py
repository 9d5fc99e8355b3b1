"""Stripe's objects as far as we rely on them; what is not as published is a doubt."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from payments.adapters import strict
from payments.adapters.http_client import InDoubt
from payments.domain.processor import Instruction, Redirect

REDIRECT_LIFE = timedelta(hours=1)
"""Stripe lets a payer take for ever; we do not."""
OPERATION = "operation_id"
"""The metadata key under which holds and refunds name their operation."""

_CAPTURE = "capture_"
_AMOUNT = re.compile(r"[0-9]{1,15}", re.ASCII)


def capture_key(operation_id: UUID) -> str:
    """The metadata key that a capture leaves on its intent: 40 characters, Stripe's limit."""
    return _CAPTURE + operation_id.hex


@dataclass(frozen=True)
class Intent:
    """A PaymentIntent."""

    id: str
    status: str
    amount: int
    received: int
    currency: str
    created_at: datetime
    charge: str
    metadata: Mapping[str, Any]
    last_error: Mapping[str, Any]
    redirect_url: str
    cancellation_reason: str

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The intent in an answer. Raises: InDoubt, when it is none."""
        try:
            return cls(
                id=strict.identifier(data["id"]),
                status=strict.text(data["status"]),
                amount=strict.whole_number(data["amount"]),
                received=strict.whole_number(data.get("amount_received") or 0),
                currency=strict.text(data["currency"]).upper(),
                created_at=datetime.fromtimestamp(strict.whole_number(data["created"]), UTC),
                charge=strict.identifier(data.get("latest_charge") or data["id"]),
                metadata=strict.mapping(data.get("metadata") or {}),
                last_error=strict.mapping(data.get("last_payment_error") or {}),
                redirect_url=_redirect_url(data),
                cancellation_reason=strict.text(data.get("cancellation_reason") or ""),
            )
        except (strict.NotAsPublished, KeyError, ValueError, OverflowError, OSError):
            raise InDoubt("unexpected_answer") from None

    @property
    def is_cancelled(self) -> bool:
        """Whether nothing is held or awaited any more, and nothing more will be."""
        return self.status == "canceled"

    def is_about(self, instruction: Instruction) -> bool:
        """Whether this is the intent of an authorisation of ours."""
        return self.metadata.get(OPERATION) == str(instruction.operation_id)

    def has_captured(self, instruction: Instruction) -> bool:
        """Whether a capture took effect: it leaves its amount on the intent in the same step."""
        return capture_key(instruction.operation_id) in self.metadata

    def redirect(self) -> Redirect | None:
        """Where the payer must go, and until when we wait."""
        if not self.redirect_url:
            return None
        return Redirect(self.redirect_url, self.created_at + REDIRECT_LIFE)

    def require_hold_of(self, instruction: Instruction) -> None:
        """Raises: InDoubt, when another amount or currency is held than was asked for."""
        asked = (instruction.amount_minor, instruction.currency)
        if (self.amount, self.currency) != asked:
            raise InDoubt("amount_mismatch")

    def require_capture_of(self, instruction: Instruction) -> None:
        """
        Refuse an intent of which another amount was captured than was asked for.

        Stripe answers with the sum of all captures, so the sum of all that ours left is compared.
        Raises: InDoubt.
        """
        noted = {key: value for key, value in self.metadata.items() if key.startswith(_CAPTURE)}
        ours = noted.get(capture_key(instruction.operation_id))
        sum_minor = sum(_noted_amount(value) for value in noted.values())
        is_ours = ours == str(instruction.amount_minor) and self.currency == instruction.currency
        if not is_ours or self.received != sum_minor:
            raise InDoubt("amount_mismatch")


@dataclass(frozen=True)
class Refund:
    """A Refund."""

    id: str
    status: str
    amount: int
    currency: str
    failure_reason: str
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The refund in an answer. Raises: InDoubt, when it is none."""
        try:
            return cls(
                id=strict.identifier(data["id"]),
                status=strict.text(data["status"]),
                amount=strict.whole_number(data["amount"]),
                currency=strict.text(data["currency"]).upper(),
                failure_reason=strict.code(data.get("failure_reason"), "refund_failed"),
                metadata=strict.mapping(data.get("metadata") or {}),
            )
        except (strict.NotAsPublished, KeyError):
            raise InDoubt("unexpected_answer") from None

    def is_about(self, instruction: Instruction) -> bool:
        """Whether this is that refund of ours."""
        return self.metadata.get(OPERATION) == str(instruction.operation_id)

    def require_amount_of(self, instruction: Instruction) -> None:
        """Raises: InDoubt, when another amount or currency is given back than was asked for."""
        asked = (instruction.amount_minor, instruction.currency)
        if (self.amount, self.currency) != asked:
            raise InDoubt("amount_mismatch")


def _redirect_url(data: Mapping[str, Any]) -> str:
    action = strict.mapping(data.get("next_action") or {})
    target = strict.mapping(action.get("redirect_to_url") or {})
    return strict.web_address(target["url"]) if target else ""


def _noted_amount(value: object) -> int:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise InDoubt("amount_mismatch")
    return int(value)
