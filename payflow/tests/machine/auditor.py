"""
What must be answered, said once more and independently of the code that answers.

Written from the HTTP contract, its table of states and the list of what must always hold; imports
nothing of the modules it judges. "Choice" marks where these are silent and a sensible answer was
taken, with the sentence it rests on. Amounts are in minor units.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

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
    was_found_done: bool = False
    number: int = field(default_factory=count().__next__)

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to come."""
        return self.state == OPEN

    @property
    def next_step(self) -> str:
        """An UNKNOWN or PENDING one is asked about before it is ever sent again."""
        if not self.is_open or self.is_unknown or self.is_pending:
            return INQUIRE
        return SEND


@dataclass
class Entries:
    """What the ledger must have posted for a payment, per type of entry."""

    auth: int = 0
    capture: int = 0
    refund: int = 0
    void: int = 0
    expiry: int = 0
    release: int = 0

    @property
    def pending(self) -> int:
        """The open hold: hold opened = captured from it + released."""
        return self.auth - self.capture - self.void - self.expiry - self.release

    @property
    def available(self) -> int:
        """Captures less refunds."""
        return self.capture - self.refund


@dataclass
class Life:
    """One payment as it must be."""

    amount: int
    currency: str
    captures_at_once: bool
    capture_before: datetime | None
    status: str = "PENDING"
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    deadline: datetime | None = None
    is_assessed: bool = False
    is_cancelled: bool = False
    is_held: bool = False
    is_finally_captured: bool = False
    calls: list[Call] = field(default_factory=list)
    entries: Entries = field(default_factory=Entries)

    # Properties

    @property
    def capturing(self) -> int:
        """What captures in flight have reserved of the hold."""
        return sum(call.amount for call in self._open(CAPTURE))

    @property
    def refunding(self) -> int:
        """What refunds in flight have reserved of the captured money."""
        return sum(call.amount for call in self._open(REFUND))

    @property
    def in_doubt(self) -> bool:
        """Any doubt is UNKNOWN; it ends with an answer."""
        return any(call.is_open and call.is_unknown for call in self.calls)

    @property
    def is_closing(self) -> bool:
        """Whether what is in flight, or done, leaves nothing of the hold for others."""
        return bool(
            self._open(VOID)
            or any(call.is_final for call in self._open(CAPTURE))
            or self.is_finally_captured
        )

    @property
    def uncaptured(self) -> int:
        """What of the hold is neither captured nor being captured."""
        return self.authorised - self.captured - self.capturing

    @property
    def unrefunded(self) -> int:
        """What of the captured money is neither refunded nor being refunded."""
        return self.captured - self.refunded - self.refunding

    # What merchants ask

    def capture(self, amount: int | None, *, is_final: bool) -> Call:
        """
        Reserve, or refuse.

        Choice: while a final capture or a release is in flight, nothing more can be captured
        ("a final capture releases the rest"): payment_not_capturable.
        """
        if self.status in {"CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"}:
            raise Refused("AlreadyCaptured")
        if not self.is_held or self.is_closing:
            raise Refused("PaymentNotCapturable")
        wanted = self.uncaptured if amount is None else amount
        if not 0 < wanted <= self.uncaptured:
            raise Refused("CaptureExceedsAuthorisation")
        return self._plan(Call(CAPTURE, wanted, is_final=is_final))

    def void(self) -> Call:
        """Void during a capture in flight: 409 payment_not_voidable; so is a second void."""
        if not self.is_held or self._open(CAPTURE) or self._open(VOID):
            raise Refused("PaymentNotVoidable")
        return self._plan(Call(VOID, self.uncaptured, ends_as="VOIDED"))

    def refund(self, amount: int | None) -> Call:
        """An operation in flight keeps its amount reserved: what still fits is accepted."""
        if not self.captured:
            raise Refused("PaymentNotRefundable")
        wanted = self.unrefunded if amount is None else amount
        if not 0 < wanted <= self.unrefunded:
            raise Refused("RefundExceedsCaptured")
        return self._plan(Call(REFUND, wanted))

    def cancel(self) -> Call | None:
        """
        Not yet sent: FAILED; sent or in doubt: voided once authorised; captured: refused.

        Choice: what is over already (declined, failed, voided, expired) or being voided is answered
        as it is: there is nothing left to cancel ("200 the payment").
        """
        if self.status in {"PENDING", "IN_REVIEW"}:
            if self._was_sent():
                self.is_cancelled = True
            else:
                self._end("FAILED")
                self._drop_what_is_open()
            return None
        if self.captured or self._open(CAPTURE):
            raise Refused("PaymentNotVoidable")
        if self.is_held and not self._open(VOID):
            return self.void()
        return None

    # What fraud and the clock say

    def assess(self, decision: str) -> Call | None:
        """The first assessment counts; repeated and late ones change nothing."""
        if self.is_assessed or self.status != "PENDING":
            return None
        self.is_assessed = True
        if decision == "REVIEW":
            self.status = "IN_REVIEW"
            return None
        return self._go_on(decision)

    def decide_review(self, decision: str) -> Call | None:
        """PENDING → IN_REVIEW → (PENDING | DECLINED); decided once."""
        if self.status != "IN_REVIEW":
            return None
        self.status = "PENDING"
        return self._go_on(decision)

    def expire(self, now: datetime) -> Call | None:
        """7 days, or captureBefore; expiry waits for what is in flight."""
        if not self.is_held or self.deadline is None or self.deadline > now:
            return None
        if self._open(CAPTURE) or self._open(VOID):
            return None
        return self._plan(Call(VOID, self.uncaptured, ends_as="EXPIRED"))

    # What processors answer

    def hear(self, call: Call, answer: str, now: datetime) -> Call | None:
        """
        Take an answer to what `call.next_step` named; returns the call that it leads to.

        Answers: APPROVED, DECLINED, RETRYABLE, NOT_SENT (of an inquiry: not found), UNKNOWN,
        PENDING.
        """
        if not call.is_open:
            return self._hear_late(call, answer)
        if call.next_step == SEND:
            call.sends += 1
        call.is_unknown, call.is_pending = answer == "UNKNOWN", answer == "PENDING"
        if answer == "APPROVED":
            call.state = APPROVED
            return self._carry_out(call, now)
        if answer == "DECLINED":
            self._conclude_without(call, DECLINED)
        elif answer in {"NOT_SENT", "RETRYABLE"} and call.sends >= SENDS:
            self._conclude_without(call, FAILED)
        return None

    # Steps

    def _go_on(self, decision: str) -> Call | None:
        if decision == "DECLINE":
            self._end("DECLINED")
            return None
        return self._plan(Call(AUTHORISE, self.amount))

    def _plan(self, call: Call) -> Call:
        self.calls.append(call)
        return call

    def _open(self, kind: str) -> list[Call]:
        return [
            call
            for call in self.calls
            if call.kind == kind and call.is_open and not call.undoes_late_success
        ]

    def _was_sent(self) -> bool:
        return any(call.kind == AUTHORISE and call.sends for call in self.calls)

    def _drop_what_is_open(self) -> None:
        for call in self.calls:
            if call.is_open:
                call.state = DROPPED

    def _end(self, status: str) -> None:
        self.status = status

    def _conclude_without(self, call: Call, state: str) -> None:
        call.state = state
        if call.kind == AUTHORISE:
            self._end(state)
        self._close_if_nothing_is_held("VOIDED")

    def _carry_out(self, call: Call, now: datetime) -> Call | None:
        if call.undoes_late_success:
            return None
        if call.kind == AUTHORISE:
            return self._hold(now)
        if call.kind == CAPTURE:
            self._take(call)
        elif call.kind == VOID:
            self._release(call)
        else:
            self.refunded += call.amount
            self.entries.refund += call.amount
            self._follow_the_amounts()
        return None

    def _hold(self, now: datetime) -> Call | None:
        self.authorised = self.entries.auth = self.amount
        self.is_held, self.status = True, "AUTHORISED"
        self.deadline = min(self.capture_before or now + HOLD, now + HOLD)
        if self.is_cancelled:
            return self.void()
        if self.captures_at_once:
            return self.capture(None, is_final=True)
        return None

    def _take(self, call: Call) -> None:
        self.captured += call.amount
        self.entries.capture += call.amount
        self.is_finally_captured |= call.is_final
        self.status = "PARTIALLY_CAPTURED"
        self._close_if_nothing_is_held("VOIDED")

    def _release(self, call: Call) -> None:
        rest = self.authorised - self.captured
        if call.ends_as == "VOIDED":
            self.entries.void += rest
        else:
            self.entries.expiry += rest
        self._close(call.ends_as)

    def _close_if_nothing_is_held(self, empty: str) -> None:
        """Once nothing is held, the status follows the amounts."""
        if not self.is_held or self._open(CAPTURE):
            return
        rest = self.authorised - self.captured
        if self.is_finally_captured:
            self.entries.release += rest
            self._close(empty)
        elif not rest:
            self._close(empty)

    def _close(self, empty: str) -> None:
        self.is_held = False
        self.status = empty
        self._follow_the_amounts()

    def _follow_the_amounts(self) -> None:
        if self.is_held or not self.captured:
            return
        if not self.refunded:
            self.status = "CAPTURED"
        elif self.refunded < self.captured:
            self.status = "PARTIALLY_REFUNDED"
        else:
            self.status = "REFUNDED"

    def _hear_late(self, call: Call, answer: str) -> Call | None:
        """
        Late success after we gave up is recorded and reversed, never lost.

        Choice: a late capture or refund for which there is still room is recorded as what it is, a
        capture or refund; what has no room is reversed ("an operation keeps its amount reserved",
        and this one's was given back).
        """
        if answer != "APPROVED" or call.state not in {DECLINED, FAILED}:
            return None
        call.state, call.was_found_done = APPROVED, True
        if call.kind == AUTHORISE:
            return self._undo(VOID, call.amount)
        if call.kind == CAPTURE:
            if self.is_held and not self.is_closing and call.amount <= self.uncaptured:
                self._take(call)
                return None
            return self._undo(REFUND, call.amount)
        if call.kind == REFUND and call.amount <= self.unrefunded:
            self.refunded += call.amount
            self.entries.refund += call.amount
            self._follow_the_amounts()
        return None

    def _undo(self, kind: str, amount: int) -> Call:
        return self._plan(Call(kind, amount, undoes_late_success=True))


@dataclass
class Till:
    """What one merchant's keys were used for."""

    payments: dict[str, Life] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Keys of captures, voids, refunds and cancellations that led to an operation."""
    burnt: set[str] = field(default_factory=set)

    def spend(self, key: str) -> None:
        """Payments and operations keep their keys for ever."""
        if key in self.used:
            raise Refused("IdempotencyKeyExpired")
        self.used.add(key)
