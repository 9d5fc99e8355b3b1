"""
From a send to the book: idempotency, faults, waiting, one decision, one transaction.

It knows no wire format: a face renders what was decided, and the book remembers that answer.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from payflow.sandbox.book import Book, Due
from payflow.sandbox.control import Control
from payflow.sandbox.decisions import Decision, change, decide
from payflow.sandbox.faults import Doubt, Fault, Strike, is_deaf, read_trigger, strike_of
from payflow.sandbox.order import Authorisation, Kind, Operation, Order, Status

SLOW_SECONDS = 2.0
PENDING_SECONDS = 2.0
LATE_SECONDS = 3.0
_LATE_AGAIN_SECONDS = 0.1


class InProgress(Exception):
    """Another send of the same key is being worked on."""


class KeyReused(Exception):
    """The key was used for something else."""


class Mute(Exception):
    """The inquiry gets no answer this time."""


class Face(Protocol):
    """How an acquirer speaks, and whom it tells."""

    prefixes: Mapping[Kind, str]
    """What references begin with."""
    keeps_first_answer: bool
    """Whether a replay repeats the first answer even after something pending was decided."""
    keeps_retryable: bool
    """Whether a retryable decline is kept under its key."""

    def render(
        self, operation: Operation, authorisation: Authorisation | None
    ) -> tuple[int, dict[str, Any]]:
        """The answer: HTTP status and JSON."""
        ...

    def tell(
        self, operation: Operation, authorisation: Authorisation | None, *, was_pending: bool
    ) -> None:
        """Tell whoever wants to know that an operation was decided; must not wait."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a send comes to: an answer (none if nothing was booked), and a doubt that spoils it."""

    http_status: int = 0
    answer: str = ""
    is_replay: bool = False
    doubt: Doubt | None = None
    is_misquoted: bool = False


class Engine:
    """One for all faces; threads meet in the book's lock and nowhere else."""

    def __init__(self, book: Book, control: Control) -> None:
        self.book = book
        self.control = control
        self._faces: dict[str, Face] = {}
        self._default: Face | None = None
        self._busy: set[tuple[str, str]] = set()
        self._busy_lock = threading.Lock()
        self._alarm = threading.Condition()

    def add_face(self, face: Face, acquirer: str = "") -> None:
        """Says who speaks for an acquirer; without a name, for all others."""
        if acquirer:
            self._faces[acquirer] = face
        else:
            self._default = face

    def start(self) -> None:
        """Begins to do what is due, on a thread of its own."""
        threading.Thread(target=self._do_what_is_due, name="due", daemon=True).start()

    # What faces call ---------------------------------------------------------------------------

    def perform(self, order: Order) -> Result:
        """
        Decides an order once, however often it is sent.

        Raises:
            InProgress: the same key is being worked on.
            KeyReused: the key was used for something else.

        """
        with self._alone(order.acquirer, order.key):
            fault, gate = self._trigger(order)
            number = self._send_number(order, fault)
            strike = self._strike(order, fault, number)
            if strike is not None and not strike.books:
                if strike.is_late:
                    self._schedule(LATE_SECONDS, "book", asdict(order))
                return Result(doubt=strike.doubt)
            self._wait(order, fault, gate)
            result = self._book(order, fault, number)
        if fault is Fault.WRONG_AMOUNT and number == 1:
            result = replace(result, is_misquoted=True)
        return replace(result, doubt=strike.doubt) if strike is not None else result

    def inquire(self, acquirer: str, key: str) -> Operation | None:
        """
        What is remembered under a key.

        Raises:
            InProgress: it is being decided just now, so neither yes nor no would be true.
            Mute: asking does not work at the moment.

        """
        with self._busy_lock:
            is_busy = (acquirer, key) in self._busy
        operation = self.book.operation(acquirer, key)
        if operation is None:
            if is_busy:
                raise InProgress
            return None
        authorisation = self.book.authorisation(acquirer, operation.authorisation)
        self.check_hearing(authorisation, operation.kind, key)
        return operation

    def check_hearing(self, authorisation: Authorisation | None, kind: Kind, key: str) -> None:
        """Raises: Mute, when an inquiry about this operation shall go unanswered."""
        trigger = authorisation.trigger if authorisation is not None else ""
        fault = read_trigger(trigger).fault_of(kind) if trigger else None
        if fault is Fault.MUTE_INQUIRY and self.control.is_mute:
            raise Mute
        if fault is Fault.DEAF or fault is Fault.FLAKY:
            acquirer = f"{authorisation.acquirer} asked" if authorisation else ""
            if is_deaf(fault, key, self.book.count_send(acquirer, key)):
                raise Mute

    def settle(self, acquirer: str, key: str, status: Status, reason: str = "") -> Operation | None:
        """Decides what is pending; answers the operation, or None when it was decided before."""
        with self.book.transaction():
            pending = self.book.operation(acquirer, key)
            if pending is None or pending.status is not Status.PENDING:
                return None
            decided = replace(pending, status=status, reason=reason)
            authorisation = self.book.authorisation(acquirer, pending.authorisation)
            if authorisation is not None and pending.kind is Kind.AUTHORISE:
                authorisation = replace(authorisation, status=status, reason=reason)
                self.book.change_authorisation(authorisation)
            face = self._face(acquirer)
            if not face.keeps_first_answer:
                decided = _answered(decided, face, authorisation)
            self.book.change_operation(decided)
            self.book.add_line(decided, time.time())
        face.tell(decided, authorisation, was_pending=True)
        return decided

    # Steps of a send ---------------------------------------------------------------------------

    def _face(self, acquirer: str) -> Face:
        face = self._faces.get(acquirer, self._default)
        assert face is not None, "a face speaks for every acquirer"  # noqa: S101 - wiring
        return face

    @contextmanager
    def _alone(self, acquirer: str, key: str) -> Iterator[None]:
        name = (acquirer, key)
        with self._busy_lock:
            if name in self._busy:
                raise InProgress
            self._busy.add(name)
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy.discard(name)

    def _trigger(self, order: Order) -> tuple[Fault | None, str]:
        name = order.trigger
        if order.kind is not Kind.AUTHORISE:
            authorisation = self.book.authorisation(order.acquirer, order.authorisation)
            name = authorisation.trigger if authorisation is not None else ""
        if not name:
            return None, ""
        trigger = read_trigger(name)
        return trigger.fault_of(order.kind), trigger.gate_of(order.kind)

    def _send_number(self, order: Order, fault: Fault | None) -> int:
        if fault is None and not self.control.chaos.unknown_rate:
            return 1
        return self.book.count_send(order.acquirer, order.key)

    def _strike(self, order: Order, fault: Fault | None, number: int) -> Strike | None:
        strike = strike_of(fault, order.key, number) if fault is not None else None
        if strike is None and self.control.chaos.unknown_rate:
            strike = self.control.strike(order.key, number)
        return strike

    def _wait(self, order: Order, fault: Fault | None, gate: str) -> None:
        is_slow = fault is Fault.SLOW
        if not gate and not is_slow:
            return
        if self.book.operation(order.acquirer, order.key) is not None:
            return
        if gate:
            self.control.pass_gate(gate)
        if is_slow:
            time.sleep(SLOW_SECONDS)

    def _book(self, order: Order, fault: Fault | None, number: int) -> Result:
        now = time.time()
        face = self._face(order.acquirer)
        with self.book.transaction():
            known = self.book.operation(order.acquirer, order.key)
            if known is not None:
                if known.fingerprint != order.fingerprint:
                    raise KeyReused
                return Result(known.http_status, known.answer, is_replay=True)
            before = None
            if order.kind is not Kind.AUTHORISE:
                before = self.book.authorisation(order.acquirer, order.authorisation)
            decision = decide(order, before, fault, number)
            operation = _operation(order, decision, before, face, now)
            is_kept = face.keeps_retryable or not decision.is_retryable
            after = self._change(order, decision, operation, before, is_kept=is_kept)
            operation = _answered(operation, face, after)
            self.book.add_line(operation, now)
            if is_kept:
                self.book.add_operation(operation)
        if decision.status is Status.PENDING:
            self._wake()
        else:
            face.tell(operation, after, was_pending=False)
        return Result(operation.http_status, operation.answer)

    def _change(
        self,
        order: Order,
        decision: Decision,
        operation: Operation,
        before: Authorisation | None,
        *,
        is_kept: bool,
    ) -> Authorisation | None:
        if decision.status is Status.PENDING:
            self._plan_decision(order, operation.created_at)
        if order.kind is Kind.AUTHORISE:
            opened = _opened(order, decision, operation)
            if is_kept:
                self.book.add_authorisation(opened)
            return opened
        if before is None:
            return None
        after = change(before, order, decision)
        if after is not before:
            after = _annotated(after, order)
            self.book.change_authorisation(after)
        return after

    def _plan_decision(self, order: Order, now: float) -> None:
        payload = json.dumps({"acquirer": order.acquirer, "key": order.key})
        if order.redirect_seconds:
            self.book.schedule(now + order.redirect_seconds, "expire", payload)
        else:
            self.book.schedule(now + PENDING_SECONDS, "approve", payload)

    # What is due -------------------------------------------------------------------------------

    def _schedule(self, seconds: float, action: str, payload: Mapping[str, Any]) -> None:
        self.book.schedule(time.time() + seconds, action, json.dumps(payload))
        self._wake()

    def _wake(self) -> None:
        with self._alarm:
            self._alarm.notify()

    def _do_what_is_due(self) -> None:
        while True:
            with self._alarm:
                at = self.book.next_due_at()
                pause = max(at - time.time(), 0) if at is not None else None
                if pause != 0:
                    self._alarm.wait(pause)
            for due in self.book.due(time.time()):
                try:
                    self._do(due)
                except Exception as error:  # noqa: BLE001 - what else is due must not suffer
                    sys.stderr.write(f"{type(error).__name__} while {due.action} was due\n")
                self.book.finish(due)

    def _do(self, due: Due) -> None:
        payload = json.loads(due.payload)
        if due.action == "expire":
            self.settle(**payload, status=Status.DECLINED, reason="redirect_expired")
        elif due.action == "approve":
            self.settle(**payload, status=Status.APPROVED)
        else:
            self._book_late(Order(**payload | {"kind": Kind(payload["kind"])}))

    def _book_late(self, order: Order) -> None:
        try:
            with self._alone(order.acquirer, order.key):
                self._book(order, None, 1)
        except KeyReused:
            return
        except InProgress:
            # Whether the other send will book it is not known before it ends.
            self._schedule(_LATE_AGAIN_SECONDS, "book", asdict(order))


def _operation(
    order: Order, decision: Decision, before: Authorisation | None, face: Face, now: float
) -> Operation:
    reference = face.prefixes[order.kind] + os.urandom(12).hex()
    return Operation(
        acquirer=order.acquirer,
        key=order.key,
        kind=order.kind,
        fingerprint=order.fingerprint,
        reference=reference,
        authorisation=order.authorisation or reference,
        merchant_reference=before.merchant_reference if before else order.merchant_reference,
        amount_minor=decision.amount_minor,
        currency=order.currency or (before.currency if before else ""),
        status=decision.status,
        reason=decision.reason,
        is_retryable=decision.is_retryable,
        created_at=now,
        details=json.dumps(dict(order.details)) if order.details else "{}",
    )


def _opened(order: Order, decision: Decision, operation: Operation) -> Authorisation:
    expires_at = operation.created_at + order.redirect_seconds if order.redirect_seconds else 0
    return Authorisation(
        number=0,
        reference=operation.reference,
        acquirer=order.acquirer,
        key=order.key,
        merchant_reference=order.merchant_reference,
        amount_minor=decision.amount_minor,
        currency=order.currency,
        trigger=order.trigger,
        status=decision.status,
        reason=decision.reason,
        callback_url=order.callback_url,
        return_url=order.return_url,
        bank=order.bank,
        created_at=operation.created_at,
        expires_at=expires_at,
        details=operation.details,
    )


def _annotated(authorisation: Authorisation, order: Order) -> Authorisation:
    notes = order.notes
    if not notes:
        return authorisation
    held = json.loads(authorisation.details)
    metadata = held.get("metadata", {}) | notes.get("metadata", {})
    return replace(authorisation, details=json.dumps(held | dict(notes) | {"metadata": metadata}))


def _answered(operation: Operation, face: Face, authorisation: Authorisation | None) -> Operation:
    http_status, answer = face.render(operation, authorisation)
    return replace(operation, http_status=http_status, answer=json.dumps(answer))
