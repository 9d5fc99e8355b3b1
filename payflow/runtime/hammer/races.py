"""
The races: two or three demands on one payment at the same moment, and what must come of them.

Every race begins with a payment of its own of 100.00 and says what it expects: how many demands may
be carried out, and how the losers may be told. The acquirer's book says afterwards what happened.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from payflow.runtime.hammer.client import RacingMerchant, SandboxControl, Told
from payflow.runtime.processes import wait_until

AMOUNT = "100.00"
PART = "60.00"
_GATE_SECONDS = 5
_LOST_CAPTURE = {"capture_exceeds_authorisation", "already_captured", "payment_not_capturable"}
_LOST_VOID = {"payment_not_voidable"}
_LOST_REFUND = {"refund_exceeds_captured"}


@dataclass
class Round:
    """One race: what was demanded, how it was answered, and what is wrong with that."""

    kind: str
    payment_id: str
    answers: list[Told] = field(default_factory=list)
    is_overlapping: bool = False
    problems: list[str] = field(default_factory=list)
    ended_as: str = ""

    def expect(self, holds: bool, problem: str) -> None:
        """Note a problem unless it holds."""
        if not holds:
            self.problems.append(f"{problem}: {[(a.status, a.code) for a in self.answers]}")


class Races:
    """What one lane needs to run races one after the other."""

    def __init__(
        self, client: RacingMerchant, sandbox: SandboxControl, *, expiry_seconds: float
    ) -> None:
        self._client, self._sandbox = client, sandbox
        self._expiry_seconds = expiry_seconds
        self._gate = uuid4().hex[:12]
        self._hands = ThreadPoolExecutor(3)

    def run(self, number: int) -> Round:
        """The race of this number: the kinds take turns."""
        kinds = (self.two_captures, self.two_refunds, self.capture_void_expiry)
        return kinds[number % len(kinds)]()

    def close(self) -> None:
        """Let its threads go."""
        self._hands.shutdown()

    def two_captures(self) -> Round:
        """Two captures of 60.00 each, the acquirer held at a gate: one is carried out."""
        found = self._begin("capture ‖ capture", self._gated_token())
        path = f"/payments/{found.payment_id}/capture"
        captures = [{"amount": PART, "finalCapture": False}] * 2
        self._at_the_gate(found, [(path, body) for body in captures])
        self._one_of_two(found, _LOST_CAPTURE)
        return found

    def two_refunds(self) -> Round:
        """Two refunds of 60.00 each, the acquirer held at a gate: one is carried out."""
        found = self._begin("refund ‖ refund", self._gated_token(), capture=True)
        path = f"/payments/{found.payment_id}/refund"
        self._at_the_gate(found, [(path, {"amount": PART})] * 2)
        self._one_of_two(found, _LOST_REFUND)
        return found

    def capture_void_expiry(self) -> Round:
        """A capture, a void and the end of the hold in the same second: one of them happens."""
        ends_at = datetime.now(UTC) + timedelta(seconds=self._expiry_seconds)
        deadline = ends_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        found = self._begin("capture ‖ void ‖ expiry", "tok_test", captureBefore=deadline)
        # Around the end of the hold and the sweep that follows it within a second.
        shift = (uuid4().int % 1000) / 1000 - 0.3
        time.sleep(max(0.0, (ends_at - datetime.now(UTC)).total_seconds() + shift))
        path = f"/payments/{found.payment_id}"
        self._together(found, [(path + "/capture", {}), (path + "/void", {})])
        found.is_overlapping = found.answers[0].overlaps(found.answers[1])
        self._check_three(found)
        return found

    # Steps -------------------------------------------------------------------------------------

    def _begin(self, kind: str, token: str, **more: Any) -> Round:
        told = self._client.demand(
            "/payments",
            payeeAccountId=str(uuid4()),
            amount=AMOUNT,
            currency="USD",
            paymentMethod={"type": "CARD", "token": token},
            **more,
        )
        found = Round(kind, told.document["paymentId"])
        expected = "CAPTURED" if more.get("capture") else "AUTHORISED"
        if told.document.get("status") != expected:
            seen = self._rest(found.payment_id, until={expected})
            found.expect(seen["status"] == expected, f"began as {seen['status']}")
        return found

    def _gated_token(self) -> str:
        return f"tok_gate_{self._gate}"

    def _at_the_gate(self, found: Round, demands: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Let both go while the acquirer holds whatever reaches it; open when all are seen."""
        self._sandbox.set_gate(self._gate, is_closed=True)
        running = self._start(demands)
        try:
            is_held = _until(lambda: self._sandbox.waiting_at(self._gate) > 0)
            is_refused = _until(lambda: any(future.done() for future in running))
            found.is_overlapping = is_held and is_refused
        finally:
            self._sandbox.set_gate(self._gate, is_closed=False)
        found.answers = [future.result() for future in running]

    def _together(self, found: Round, demands: Sequence[tuple[str, dict[str, Any]]]) -> None:
        found.answers = [future.result() for future in self._start(demands)]

    def _start(self, demands: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
        barrier = threading.Barrier(len(demands))

        def go(path: str, body: dict[str, Any]) -> Told:
            barrier.wait()
            return self._client.demand(path, **body)

        return [self._hands.submit(go, path, body) for path, body in demands]

    def _one_of_two(self, found: Round, lost: set[str]) -> None:
        done = [answer for answer in found.answers if answer.is_done]
        refused = {answer.code for answer in found.answers if not answer.is_done}
        found.expect(len(done) == 1, "one of two was expected to be carried out")
        found.expect(refused <= lost, "refused for another reason")

    def _check_three(self, found: Round) -> None:
        capture, void = found.answers
        seen = self._rest(found.payment_id, until={"CAPTURED", "VOIDED", "EXPIRED"})
        found.ended_as = seen["status"]
        winners = {"CAPTURED": capture.is_done, "VOIDED": void.is_done}
        found.expect(found.ended_as in {"CAPTURED", "VOIDED", "EXPIRED"}, "did not end")
        found.expect(
            winners.get(found.ended_as, not (capture.is_done or void.is_done)),
            f"ended as {found.ended_as}, but",
        )
        found.expect(capture.is_done or capture.code in _LOST_CAPTURE, "capture refused")
        found.expect(void.is_done or void.code in _LOST_VOID, "void refused")

    def _rest(self, payment_id: str, *, until: set[str]) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def is_at_rest() -> bool:
            seen.update(self._client.get(f"/payments/{payment_id}"))
            return seen["status"] in until

        _until(is_at_rest, seconds=90)
        return seen


def _until(holds: Callable[[], bool], seconds: float = _GATE_SECONDS) -> bool:
    return wait_until(holds, seconds, every_seconds=0.01)
