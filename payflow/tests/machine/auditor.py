"""
What must be answered, said once more and independently of the code that answers.

Written from the HTTP contract, its table of states and the list of what must always hold; imports
nothing of the modules it judges. "Choice" marks where these are silent and a sensible answer was
taken, with the sentence it rests on. Amounts are in minor units.
"""

from dataclasses import dataclass, field
from datetime import datetime

from payflow.tests.machine.calls import (
    APPROVED,
    AUTHORISE,
    CAPTURE,
    DECLINED,
    DROPPED,
    FAILED,
    HOLD,
    REFUND,
    SEND,
    SENDS,
    VOID,
    Call,
    Entries,
    Refused,
)


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
        """Whether what is in flight leaves nothing of the hold for others."""
        return bool(self._open(VOID)) or any(call.is_final for call in self._open(CAPTURE))

    @property
    def uncaptured(self) -> int:
        """What of the hold is neither captured nor being captured."""
        return self.authorised - self.captured - self.capturing

    def is_overdue(self, now: datetime) -> bool:
        """Whether the time of the hold is over."""
        return self.deadline is not None and self.deadline <= now

    @property
    def unrefunded(self) -> int:
        """What of the captured money is neither refunded nor being refunded."""
        return self.captured - self.refunded - self.refunding

    @property
    def facts(self) -> dict[str, object]:
        """What must be stored."""
        return {
            "status": self.status,
            "authorised": self.authorised,
            "captured": self.captured,
            "capturing": self.capturing,
            "released": self.entries.released,
            "refunded": self.refunded,
            "refunding": self.refunding,
            "in_doubt": self.in_doubt,
        }

    @property
    def is_decided(self) -> bool:
        """
        Whether the answer to taking it stays: AUTHORISED, CAPTURED with `capture: true`, or no.

        Choice: with `capture: true` AUTHORISED is an answer once that capture was refused; what the
        merchant captures later does not open it again.
        """
        if any(call.comes_at_once for call in self._open(CAPTURE)):
            return False
        return self.status not in {"PENDING", "IN_REVIEW"}

    @property
    def is_over(self) -> bool:
        """Whether nothing is held and nothing is in flight."""
        is_decided = self.status not in {"PENDING", "IN_REVIEW"}
        return is_decided and not self.is_held and not any(c.is_open for c in self.calls)

    # What merchants ask

    def capture(self, amount: int | None, *, is_final: bool, now: datetime) -> Call:
        """
        Reserve, or refuse.

        Choice: a final capture in flight has reserved all ("releases the rest"), so nothing fits
        beside it; a release in flight leaves nothing to capture; nor does the end of the hold's
        time ("captureBefore"), whether its expiry has begun or not.
        """
        if self.status in {"CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"}:
            raise Refused("AlreadyCaptured")
        if not self.is_held or self._open(VOID) or self.is_overdue(now):
            raise Refused("PaymentNotCapturable")
        free = 0 if self.is_closing else self.uncaptured
        wanted = free if amount is None else amount
        if not 0 < wanted <= free:
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
        if not self.is_held or not self.is_overdue(now):
            return None
        if self._open(CAPTURE) or self._open(VOID):
            return None
        return self._plan(Call(VOID, self.uncaptured, ends_as="EXPIRED"))

    # What processors answer

    def waits(self, call: Call) -> bool:
        """
        Whether it is not called yet.

        Choice: a final capture is sent when the captures before it have ended, because it "releases
        the rest" and theirs is reserved. A dropped call, and one that was answered with a decision,
        is not called any more.
        """
        if (
            call.is_parked
            or call.state in {DROPPED, DECLINED}
            or (call.state == APPROVED and not call.was_late)
        ):
            return True
        is_send = call.is_open and call.step == SEND
        return is_send and call.is_final and len(self._open(CAPTURE)) > 1

    def hear(self, call: Call, answer: str, now: datetime) -> Call | None:
        """
        Take an answer to what `call.step` named; returns the call that it leads to.

        Answers: APPROVED, DECLINED, RETRYABLE, NOT_SENT (of an inquiry: not found), UNKNOWN,
        PENDING.
        """
        if not call.is_open:
            return self._hear_late(call, answer, now)
        if call.step == SEND:
            call.sends += 1
        call.is_unknown, call.is_pending = answer == "UNKNOWN", answer == "PENDING"
        if answer == "APPROVED":
            call.state = APPROVED
            return self._carry_out(call, now)
        # Choice: a reversal that is refused waits for people.
        if answer == "DECLINED" and call.undoes_late_success:
            call.is_parked = True
        elif answer == "DECLINED":
            self._conclude_without(call, DECLINED)
        elif answer in {"NOT_SENT", "RETRYABLE"} and self._is_given_up(call):
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

    def _is_given_up(self, call: Call) -> bool:
        """Choice: what certainly was not done when it is cancelled is "not yet sent": it FAILS."""
        if call.kind == AUTHORISE and self.is_cancelled:
            return True
        return call.sends >= SENDS and not call.is_tried_for_ever

    def _drop_what_is_open(self) -> None:
        for call in self.calls:
            if call.is_open:
                call.state = DROPPED

    def _end(self, status: str) -> None:
        self.status = status

    def _conclude_without(self, call: Call, state: str) -> None:
        """Choice: a hold whose time is over EXPIRES whatever its processor says to its release."""
        call.state = state
        if call.kind == AUTHORISE:
            self._end(state)
        elif call.ends_as == "EXPIRED":
            self._release(call)

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
            call = self.void()
            call.undoes_cancelled = True
            return call
        if self.captures_at_once and not self.is_overdue(now):
            call = self.capture(None, is_final=True, now=now)
            call.comes_at_once = True
            return call
        return None

    def _take(self, call: Call) -> None:
        self.captured += call.amount
        self.entries.capture += call.amount
        self.status = "PARTIALLY_CAPTURED"
        if call.is_final:
            self.entries.release += self.uncaptured
        if not self.entries.pending:
            self._close("CAPTURED")

    def _release(self, call: Call) -> None:
        rest = self.authorised - self.captured
        if call.ends_as == "VOIDED":
            self.entries.void += rest
        else:
            self.entries.expiry += rest
        self._close(call.ends_as)

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

    def _hear_late(self, call: Call, answer: str, now: datetime) -> Call | None:
        """
        Late success after we gave up is recorded and reversed, never lost.

        Choice: what still can be is recorded as what it is, and not reversed; a capture or hold
        that cannot is reversed, once. Beside captures in flight a final one releases nothing ("an
        operation in flight keeps its amount reserved"). A refund or a void cannot be reversed: one
        for which there is no room stays given up, and may be heard again.
        """
        if answer != "APPROVED" or call.state != FAILED:
            return None
        if call.kind == AUTHORISE:
            return self._undo(call, VOID)
        if call.kind == CAPTURE and not self._has_room(call, now):
            return self._undo(call, REFUND)
        if not self._has_room(call, now):
            return None
        call.is_final = call.is_final and not self._open(CAPTURE)
        call.state = APPROVED
        return self._carry_out(call, now)

    def _has_room(self, call: Call, now: datetime) -> bool:
        if call.kind == REFUND:
            return call.amount <= self.unrefunded
        if not self.is_held or self.is_closing:
            return False
        if call.kind == VOID:
            return not self._open(CAPTURE)
        return call.amount <= self.uncaptured and not self.is_overdue(now)

    def _undo(self, late: Call, kind: str) -> Call:
        late.state, late.was_late = APPROVED, True
        return self._plan(Call(kind, late.amount, undoes_late_success=True))
