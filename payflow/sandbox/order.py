"""What is asked, what was decided, and what is remembered: the words that all faces share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is asked for."""

    AUTHORISE = "AUTHORISE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"


class Status(StrEnum):
    """What was decided, or that it is not yet."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"


@dataclass(frozen=True, slots=True)
class Order:
    """
    One send of one operation, freed of everything that must not be remembered.

    `trigger` is what a card number, a token or a bank code meant; the number itself ends where it
    was read. `redirect_seconds` above 0: the payer has so long to decide on a page of `bank`. A
    void that `cancels_unheld` is approved where nothing is held, too.
    """

    acquirer: str
    kind: Kind
    key: str
    fingerprint: str
    amount_minor: int = 0
    currency: str = ""
    merchant_reference: str = ""
    authorisation: str = ""
    trigger: str = ""
    is_final: bool = True
    callback_url: str = ""
    return_url: str = ""
    bank: str = ""
    redirect_seconds: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    cancels_unheld: bool = False

    @property
    def notes(self) -> Mapping[str, Any]:
        """What is to be noted on the hold if this is not declined."""
        notes: Mapping[str, Any] = self.details.get("hold", {})
        return notes


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A hold and what became of it; amounts in minor units."""

    number: int
    reference: str
    acquirer: str
    key: str
    merchant_reference: str
    amount_minor: int
    currency: str
    trigger: str
    status: Status
    reason: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    is_final: bool = False
    is_voided: bool = False
    callback_url: str = ""
    return_url: str = ""
    bank: str = ""
    created_at: float = 0
    expires_at: float = 0
    details: str = "{}"

    @property
    def remaining_minor(self) -> int:
        """What may still be captured."""
        if self.status is not Status.APPROVED or self.is_final or self.is_voided:
            return 0
        return max(self.amount_minor - self.captured_minor, 0)


@dataclass(frozen=True, slots=True)
class Operation:
    """What was decided under a key, and the answer that was given."""

    acquirer: str
    key: str
    kind: Kind
    fingerprint: str
    reference: str
    authorisation: str
    merchant_reference: str
    amount_minor: int
    currency: str
    status: Status
    reason: str
    is_retryable: bool
    created_at: float
    details: str = "{}"
    http_status: int = 0
    answer: str = ""
