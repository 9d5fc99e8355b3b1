"""
The chart of accounts, and which accounts an event debits and credits, per entry type.

| entry type | debit                                  | credit                              |
|------------|----------------------------------------|-------------------------------------|
| AUTH       | processor pending                      | merchant pending (a hold)           |
| CAPTURE    | processor receivable, merchant pending | merchant payable, processor pending |
| RELEASE    | merchant pending                       | processor pending                   |
| VOID       | merchant pending                       | processor pending                   |
| EXPIRY     | merchant pending                       | processor pending                   |
| REFUND     | merchant payable                       | processor receivable                |
| ADJUSTMENT | as two people decided                  | as two people decided               |
| PAYOUT     | merchant payable                       | bank                                |

A hold is taken by captures; its rest ends by one release at most: VOID, EXPIRY or, with a final
capture that leaves something, RELEASE from the same event. Nothing posts a PAYOUT yet; what one
takes from merchant payable counts as settled.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from shared.events.payments import (
    PaymentTransactionAuthorised,
    PaymentTransactionCaptured,
    PaymentTransactionExpired,
    PaymentTransactionRefunded,
    PaymentTransactionVoided,
)

MovementOfMoney = (
    PaymentTransactionAuthorised
    | PaymentTransactionCaptured
    | PaymentTransactionVoided
    | PaymentTransactionExpired
    | PaymentTransactionRefunded
)
"""The events of payments that are booked."""


class EntryType(StrEnum):
    """Why an entry was posted."""

    AUTH = "AUTH"
    CAPTURE = "CAPTURE"
    RELEASE = "RELEASE"
    VOID = "VOID"
    EXPIRY = "EXPIRY"
    REFUND = "REFUND"
    ADJUSTMENT = "ADJUSTMENT"
    PAYOUT = "PAYOUT"


RELEASES = (EntryType.RELEASE, EntryType.VOID, EntryType.EXPIRY)
"""What ends a hold, of which a story has at most one."""


class Party(StrEnum):
    """Whose an account may be."""

    MERCHANT = "MERCHANT"
    """`owner` is the merchant's id."""
    PROCESSOR = "PROCESSOR"
    """`owner` is the processor's name."""
    PLATFORM = "PLATFORM"
    """`owner` is `platform`."""


PLATFORM = "platform"
"""The owner of the platform's own accounts."""


class AccountKind(StrEnum):
    """What an account keeps."""

    PROCESSOR_PENDING = "PROCESSOR_PENDING"
    """What a processor holds for us and has not taken yet."""
    PROCESSOR_RECEIVABLE = "PROCESSOR_RECEIVABLE"
    """What a processor took for us and owes us."""
    PROCESSOR_FEES = "PROCESSOR_FEES"
    """What a processor kept for its service."""
    MERCHANT_PENDING = "MERCHANT_PENDING"
    """Open holds in a merchant's favour."""
    MERCHANT_PAYABLE = "MERCHANT_PAYABLE"
    """What we owe a merchant: captured, not refunded, not paid out."""
    PLATFORM_FEES = "PLATFORM_FEES"
    """What merchants paid us."""
    BANK = "BANK"
    """What lies in our bank account."""

    @property
    def party(self) -> Party:
        """Whose accounts of this kind are."""
        return Party.PLATFORM if self is AccountKind.BANK else Party(self.split("_")[0])


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


@dataclass(frozen=True)
class Draft:
    """An entry to be posted: why, for which event, and its lines, all in one currency."""

    event_id: UUID
    entry_type: EntryType
    correlation_id: UUID
    merchant_id: UUID | None
    amount_minor: int
    currency: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Correction:
    """What two people decide to move from one account to another, and the story it belongs to."""

    debit: AccountKey
    credit: AccountKey
    amount_minor: int
    correlation_id: UUID | None = None

    @property
    def merchant_id(self) -> UUID | None:
        """The merchant whose accounts it moves; none if there is none, or two."""
        accounts = (self.debit, self.credit)
        merchants = {key.owner for key in accounts if key.kind.party is Party.MERCHANT}
        return UUID(merchants.pop()) if len(merchants) == 1 else None

    @property
    def lines(self) -> tuple[Line, ...]:
        """Its postings."""
        return (
            Line(self.debit, Side.DEBIT, self.amount_minor),
            Line(self.credit, Side.CREDIT, self.amount_minor),
        )


_RULES: dict[EntryType, tuple[tuple[AccountKind, ...], tuple[AccountKind, ...]]] = {
    EntryType.AUTH: ((AccountKind.PROCESSOR_PENDING,), (AccountKind.MERCHANT_PENDING,)),
    EntryType.CAPTURE: (
        (AccountKind.PROCESSOR_RECEIVABLE, AccountKind.MERCHANT_PENDING),
        (AccountKind.MERCHANT_PAYABLE, AccountKind.PROCESSOR_PENDING),
    ),
    **dict.fromkeys(RELEASES, ((AccountKind.MERCHANT_PENDING,), (AccountKind.PROCESSOR_PENDING,))),
    EntryType.REFUND: ((AccountKind.MERCHANT_PAYABLE,), (AccountKind.PROCESSOR_RECEIVABLE,)),
}
"""What is debited and what is credited, each with the whole amount."""


def drafts_of(event: MovementOfMoney) -> list[Draft]:
    """
    The entries that an event is booked as: one, or two for a capture that releases the rest.

    The rest of a capture may be 0. Any other amount that is none is left to the database to refuse.
    """
    return [_draft(event, entry_type, minor) for entry_type, minor in _movements(event)]


def _movements(event: MovementOfMoney) -> list[tuple[EntryType, int]]:
    match event:
        case PaymentTransactionAuthorised():
            return [(EntryType.AUTH, event.amount_minor)]
        case PaymentTransactionCaptured():
            taken = (EntryType.CAPTURE, event.captured_amount_minor)
            rest = (EntryType.RELEASE, event.released_amount_minor)
            return [taken, rest] if event.released_amount_minor else [taken]
        case PaymentTransactionVoided():
            return [(EntryType.VOID, event.released_amount_minor)]
        case PaymentTransactionExpired():
            return [(EntryType.EXPIRY, event.released_amount_minor)]
        case PaymentTransactionRefunded():
            return [(EntryType.REFUND, event.refunded_amount_minor)]


def _draft(event: MovementOfMoney, entry_type: EntryType, amount_minor: int) -> Draft:
    merchant_id = UUID(event.merchant_id)
    owners = {Party.MERCHANT: str(merchant_id), Party.PROCESSOR: event.processor}
    return Draft(
        event_id=UUID(event.event_id),
        entry_type=entry_type,
        correlation_id=UUID(event.correlation_id),
        merchant_id=merchant_id,
        amount_minor=amount_minor,
        currency=event.currency,
        lines=tuple(
            Line(AccountKey(kind, owners[kind.party], event.currency), side, amount_minor)
            for side, kinds in zip(Side, _RULES[entry_type], strict=True)
            for kind in kinds
        ),
    )
