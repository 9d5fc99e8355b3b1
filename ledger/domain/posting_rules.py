"""
Which accounts an event debits and credits, per entry type.

| entry type | debit             | credit                    |
|------------|-------------------|---------------------------|
| AUTH       | processor pending | merchant pending (a hold) |
"""

from dataclasses import dataclass
from enum import StrEnum


class EntryType(StrEnum):
    """Why an entry was posted."""

    AUTH = "AUTH"


class AccountKind(StrEnum):
    """What an account keeps."""

    PROCESSOR_PENDING = "PROCESSOR_PENDING"
    """What a processor holds for us and has not taken yet."""
    MERCHANT_PENDING = "MERCHANT_PENDING"
    """Open holds in a merchant's favour."""


class Side(StrEnum):
    """The two sides of every posting."""

    DEBIT = "DEBIT"
    CREDIT = "CREDIT"


@dataclass(frozen=True, order=True)
class AccountKey:
    """An account by what it means: its kind, whose it is, and its currency."""

    kind: AccountKind
    owner: str
    currency: str

    def __str__(self) -> str:
        """As journals show it: `merchant_pending:0190…:USD`."""
        return f"{self.kind.lower()}:{self.owner}:{self.currency}"


@dataclass(frozen=True)
class Line:
    """One posting of an entry: a positive amount on one side of an account."""

    account: AccountKey
    side: Side
    amount_minor: int


def authorisation_lines(
    *, merchant_id: str, processor: str, amount_minor: int, currency: str
) -> tuple[Line, ...]:
    """AUTH: the processor holds an amount in the merchant's favour."""
    held_by = AccountKey(AccountKind.PROCESSOR_PENDING, processor, currency)
    held_for = AccountKey(AccountKind.MERCHANT_PENDING, merchant_id, currency)
    return (
        Line(held_by, Side.DEBIT, amount_minor),
        Line(held_for, Side.CREDIT, amount_minor),
    )
