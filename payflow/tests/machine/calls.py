"""What the auditor counts with: calls to a processor, entries in the ledger, refusals."""

from dataclasses import dataclass
from datetime import timedelta

SENDS = 5
"""Retried with the same key, at most 5 sends, then FAILED (capacity given back)."""
HOLD = timedelta(days=7)

OPEN, APPROVED, DECLINED, FAILED, DROPPED = "OPEN", "APPROVED", "DECLINED", "FAILED", "DROPPED"
AUTHORISE, CAPTURE, VOID, REFUND = "authorise", "capture", "void", "refund"
SEND, INQUIRE = "send", "inquire"


class Refused(Exception):
    """The command must be refused with the error of this name."""

    def __init__(self, name: str) -> None:
        """Say which error."""
        super().__init__(name)
        self.name = name


@dataclass
class Call:
    """An operation as it must be: what was reserved, sent and answered."""

    kind: str
    amount: int
    is_final: bool = False
    ends_as: str = ""
    """VOIDED or EXPIRED, for what releases a hold."""
    undoes_late_success: bool = False
    state: str = OPEN
    sends: int = 0
    is_unknown: bool = False
    is_pending: bool = False
    was_late: bool = False
    """Found done after it was given up, and reversed."""
    is_done: bool = False
    """Whether the processor did it, whatever it said: the truth that its book must hold."""
    undoes_cancelled: bool = False
    comes_at_once: bool = False
    """The capture of `capture: true`, without which the payment is not taken."""
    is_parked: bool = False
    """Refused, and waiting for people: a reversal that nobody else would miss."""

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to come."""
        return self.state == OPEN

    @property
    def step(self) -> str:
        """An UNKNOWN or PENDING one is asked about before it is ever sent again."""
        return INQUIRE if not self.is_open or self.is_unknown or self.is_pending else SEND

    @property
    def is_tried_for_ever(self) -> bool:
        """
        Whether 5 sends are no end of it.

        Choice: there is nobody to ask again for an expiry ("AUTHORISED → EXPIRED (7 days)"), for
        the void of a cancelled payment ("voided as soon as authorised") and for a reversal ("late
        success is recorded and reversed, never lost"), so these are sent until answered.
        """
        return self.ends_as == "EXPIRED" or self.undoes_cancelled or self.undoes_late_success


@dataclass
class Entries:
    """What the ledger must have posted for a payment, per type of entry."""

    auth: int = 0
    capture: int = 0
    refund: int = 0
    void: int = 0
    expiry: int = 0
    release: int = 0

    def __add__(self, other: "Entries") -> "Entries":
        """The sums, per type."""
        mine, theirs = vars(self), vars(other)
        return Entries(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def posted(self) -> dict[str, int]:
        """The sums that are not 0: nothing is posted for nothing."""
        return {name: amount for name, amount in vars(self).items() if amount}

    @property
    def released(self) -> int:
        """What of the hold was given back."""
        return self.void + self.expiry + self.release

    @property
    def pending(self) -> int:
        """The open hold: hold opened = captured from it + released."""
        return self.auth - self.capture - self.released

    @property
    def available(self) -> int:
        """Captures less refunds."""
        return self.capture - self.refund
