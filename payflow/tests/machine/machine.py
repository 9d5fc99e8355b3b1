"""The machine: does a command, asks the auditor what must come of it, and compares."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from payflow.tests.machine import books
from payflow.tests.machine.auditor import Life
from payflow.tests.machine.calls import APPROVED, CAPTURE, REFUND, VOID, Call, Entries, Refused
from payflow.tests.machine.commands import (
    Ask,
    Assess,
    Cancel,
    Command,
    Expire,
    Initiate,
    Reply,
    Run,
    Wait,
    World,
    refusal_of,
)

Key = tuple[int, str]
RETENTION = timedelta(days=30)


class Disagreement(AssertionError):
    """The platform and the auditor do not agree."""


@dataclass(frozen=True)
class Event:
    """What happened to a payment, and when."""

    step: int
    at: datetime
    what: object

    def __str__(self) -> str:
        """One line."""
        return f"{self.step:>7} {self.at:%m-%d %H:%M:%S} {self.what}"


@dataclass
class Machine:
    """Payments of two merchants, each twice: as they are stored, and as they must be."""

    world: World = field(default_factory=lambda: World(books.hasten))
    lives: dict[int, Life] = field(default_factory=dict)
    """The payments that are still looked at."""
    calls: dict[int, list[UUID]] = field(default_factory=dict)
    """Ids of operations, in the order of the auditor's calls."""
    keys: dict[Key, int] = field(default_factory=dict)
    answered: dict[Key, tuple[Initiate, datetime]] = field(default_factory=dict)
    """What was accepted through the door, and until when its answer is kept."""
    stored: dict[Key, str] = field(default_factory=dict)
    """The status that the first answer after the decision told, and all later ones tell."""
    rest: dict[int, str] = field(default_factory=dict)
    """The status at which payments rest that are not looked at any more."""
    spent: set[Key] = field(default_factory=set)
    """Keys of operations."""
    burnt: set[Key] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    is_lost: bool = False
    """Whether there was a disagreement: what comes after it says nothing."""
    audits: int = 0
    history: dict[int, list[Event]] = field(default_factory=dict)
    _last: int = -1
    """The payment that was dealt with last."""
    _closed: dict[tuple[int, str], Entries] = field(default_factory=lambda: defaultdict(Entries))

    # Commands

    def do(self, command: Command) -> None:
        """Have a command done by both. Raises: Disagreement, with the story of its payment."""
        try:
            self._do(command)
        except Exception as error:
            self.is_lost = True
            number = self._last
            story = "\n".join(map(str, self.history.get(number, [])[-30:]))
            raise Disagreement(f"{error!r}\n{self.lives.get(number)}\n{story}") from error

    def _do(self, command: Command) -> None:
        if isinstance(command, Ask) and command.is_dry:
            self._preview(command)
        else:
            getattr(self, f"_{type(command).__name__.lower()}")(command)

    def _wait(self, command: Wait) -> None:
        self.world.wait(command)
        self._count("Wait", "")

    def _initiate(self, command: Initiate) -> None:
        key = (command.merchant, command.key)
        expected, is_repeat = self._expected_acceptance(key, command)
        refusal, made = refusal_of(lambda: self.world.initiate(command))
        self._agree(command, refusal, expected, "Initiate")
        self._agree(command, made is None, is_repeat or bool(expected))
        if is_repeat:
            self._agree(command, self.world.told, self._expected_answer(key), "Repeat")
        if made is not None:
            number = len(self.world.payments) - 1
            self.keys[key] = number
            if command.through_door:
                self.answered[key] = (command, self.world.now + RETENTION)
            self.lives[number] = Life(
                command.amount, command.currency, command.captures_at_once, command.capture_before
            )
            self.calls[number] = []
            self._note(number, command)
            self.look_at([number])

    def _expected_acceptance(self, key: Key, command: Initiate) -> tuple[str, bool]:
        """Same key, same request: the stored answer, for 30 days; else the key is refused."""
        if command.through_door and key in self.burnt:
            return "IdempotencyKeyCancelled", False
        told, until = self.answered.get(key, (None, self.world.now))
        if command.through_door and self.world.now < until:
            return "" if command == told else "IdempotencyKeyReused", command == told
        return "IdempotencyKeyExpired" if key in self.keys else "", False

    def _expected_answer(self, key: Key) -> tuple[int, str, bool]:
        """Undecided answers are told as it is now; the first one after that is told for ever."""
        number = self.keys[key]
        life = self.lives.get(number)
        status = life.status if life else self.rest[number]
        if key not in self.stored and life and not life.is_decided:
            return 202, status, False
        return 201, self.stored.setdefault(key, status), True

    def _assess(self, command: Assess) -> None:
        self._note(command.payment, command)
        life = self.lives[command.payment]
        if command.is_review:
            life.decide_review(command.decision)
        else:
            life.assess(command.decision)
        self.world.assess(command)
        self._count(f"Assess{'/review' if command.is_review else ''}", command.decision)
        self.look_at([command.payment])

    def _ask(self, command: Ask) -> None:
        self._note(command.payment, command)
        life = self.lives[command.payment]
        expected = self._expected_refusal(life, command)
        refusal, _ = refusal_of(lambda: self.world.ask(command))
        self._agree(command, refusal, expected, f"Ask/{command.kind}")
        self.look_at([command.payment])

    def _expected_refusal(self, life: Life, command: Ask) -> str:
        """A used key is refused whatever else is wrong: its answer was given, and is not kept."""
        key = (self.world.payments[command.payment][1], command.key)
        if key in self.spent:
            return "IdempotencyKeyExpired"
        try:
            self._plan(life, command)
        except Refused as refused:
            return refused.name
        self.spent.add(key)
        return ""

    def _plan(self, life: Life, command: Ask) -> Call:
        if command.kind == CAPTURE:
            return life.capture(command.amount, is_final=command.is_final, now=self.world.now)
        return life.void() if command.kind == VOID else life.refund(command.amount)

    def _preview(self, command: Ask) -> None:
        self._note(command.payment, command)
        refusal, seen = refusal_of(lambda: self.world.preview(command))
        would_be = deepcopy(self.lives[command.payment])
        before = would_be.entries.released
        try:
            call = self._plan(would_be, command)
        except Refused as refused:
            self._agree(command, refusal, refused.name, f"Dry/{command.kind}")
        else:
            self._agree(command, refusal, "", f"Dry/{command.kind}")
            would_be.hear(call, "APPROVED", self.world.now)
            expected = {
                "status": would_be.status,
                "captured": would_be.captured,
                "refunded": would_be.refunded,
                "event": {CAPTURE: "Captured", VOID: "Voided", REFUND: "Refunded"}[command.kind],
                "released": would_be.entries.released - before,
            }
            self._agree(command, seen, expected)
        self.look_at([command.payment])

    def _cancel(self, command: Cancel) -> None:
        named = (command.merchant, command.cancel_key)
        number = self.keys.get(named)
        if number is not None and number not in self.lives:
            return
        if number is not None:
            self._note(number, command)
        refusal, was_seen = refusal_of(lambda: self.world.cancel(command))
        if number is None:
            self.burnt.add(named)
            self._agree(command, (refusal, was_seen), ("", False))
            self._count("Cancel", "unseen")
            return
        self._agree(command, refusal, self._expected_cancel(number, command), "Cancel")
        self.look_at([number])

    def _expected_cancel(self, number: int, command: Cancel) -> str:
        life = self.lives[number]
        try:
            call = life.cancel()
        except Refused as refused:
            return refused.name
        key = (command.merchant, command.key)
        if call and key in self.spent:
            life.calls.pop()
            return "IdempotencyKeyExpired"
        self.spent |= {key} if call else set()
        return ""

    def _run(self, command: Run) -> None:
        answers, late, expected = {}, [], []
        for reply in command.replies:
            self._note(reply.payment, reply)
            life, call = self._of(reply)
            operation_id = self.calls[reply.payment][reply.call]
            answers[operation_id] = reply.answer
            if not call.is_open:
                late.append(operation_id)
            if not life.waits(call):
                expected.append((operation_id, call.step))
                call.is_done |= reply.answer.is_done
        self.world.run(answers, called_back=late)
        self._agree(command, sorted(self.world.processor.calls), sorted(expected))
        asked = {operation_id for operation_id, _ in expected}
        for reply in command.replies:
            life, call = self._of(reply)
            if self.calls[reply.payment][reply.call] not in asked:
                self._count(f"Run/{call.kind}", "not called")
                continue
            step = call.step if call.is_open else "late"
            life.hear(call, reply.answer.says, self.world.now)
            self._count(f"Run/{call.kind}/{step}", reply.answer)
        self.look_at([reply.payment for reply in command.replies])

    def _of(self, reply: Reply) -> tuple[Life, Call]:
        life = self.lives[reply.payment]
        return life, life.calls[reply.call]

    def _expire(self, command: Expire) -> None:
        due = [n for n, life in self.lives.items() if life.expire(self.world.now)]
        for number in due:
            self._note(number, command)
        self._agree(command, self.world.expire(), len(due))
        self._count("Expire", "some" if due else "none")
        self.look_at(due)

    # Comparing

    def look_at(self, numbers: Sequence[int]) -> None:
        """Compare payments and their operations. Raises: Disagreement."""
        ids = {self.world.payments[number][0]: number for number in numbers}
        stored, operations = books.payments(list(ids)), books.operations(list(ids))
        for payment_id, number in ids.items():
            self._last = number
            expected = self.lives[number].facts
            if stored[payment_id] != expected:
                raise Disagreement(f"payment {number}: {stored[payment_id]}, not {expected}")
            self._compare_calls(number, operations[payment_id])

    def _compare_calls(self, number: int, stored: dict[UUID, tuple[str, int, bool, bool]]) -> None:
        life, known = self.lives[number], self.calls[number]
        known += [operation_id for operation_id in stored if operation_id not in known]
        expected = [(call.kind, call.amount, call.is_open) for call in life.calls]
        seen = [stored[operation_id][:3] for operation_id in known]
        if seen != expected:
            raise Disagreement(f"operations of payment {number}: {seen}, not {expected}")
        for call, operation_id in zip(life.calls, known, strict=True):
            is_known = stored[operation_id][3]
            if (is_known and not call.is_done) or (call.state == APPROVED and not is_known):
                raise Disagreement(f"payment {number}: {call} is stored as done: {is_known}")

    def audit(self) -> None:
        """Compare the ledger and the processor's book with all that is alive. Raises: the same."""
        self.audits += 1
        self._expect("events to be heard", books.undelivered(), 0)
        self._audit_stories(list(self.lives))
        for merchant, merchant_id in enumerate(self.world.merchants):
            self._expect("balances", books.balances(merchant_id), self._balances(merchant))

    def audit_ledger(self) -> None:
        """Let the ledger look for what is wrong in all of its books."""
        self._expect("findings of the ledger", books.wrongs(), [])

    def _audit_stories(self, numbers: Sequence[int]) -> None:
        ids = {self.world.payments[number][0]: number for number in numbers}
        posted = books.entries(list(ids))
        for payment_id, number in ids.items():
            self._last, life = number, self.lives[number]
            self._expect(f"entries of {number}", posted[payment_id], life.entries.posted)
            book = [
                self.world.processor.book.get(operation_id) for operation_id in self.calls[number]
            ]
            lines = [(call.kind, call.amount) if call.is_done else None for call in life.calls]
            self._expect(f"the processor's book for {number}", book, lines)

    def _balances(self, merchant: int) -> dict[str, tuple[int, int]]:
        sums: dict[str, tuple[int, int]] = {
            currency: (entries.pending, entries.available)
            for (owner, currency), entries in self._closed.items()
            if owner == merchant
        }
        for number, life in self.lives.items():
            if self.world.payments[number][1] == merchant and life.entries.auth:
                pending, available = sums.get(life.currency, (0, 0))
                pending += life.entries.pending
                sums[life.currency] = (pending, available + life.entries.available)
        return sums

    # The rest

    def retire(self, number: int) -> None:
        """Look at a payment for the last time, and keep its sums only. Raises: Disagreement."""
        self.look_at([number])
        self._audit_stories([number])
        life, merchant = self.lives.pop(number), self.world.payments[number][1]
        self.rest[number] = life.status
        if life.entries.auth:
            self._closed[merchant, life.currency] += life.entries
        del self.calls[number], self.history[number]

    def _agree(
        self, command: Command, seen: object, expected: object, counted_as: str = ""
    ) -> None:
        if seen != expected:
            raise Disagreement(f"{command}: {seen!r}, not {expected!r}")
        if counted_as:
            self._count(counted_as, seen)

    def _expect(self, what: str, seen: object, expected: object) -> None:
        if seen != expected:
            raise Disagreement(f"{what}: {seen!r}, not {expected!r}")

    def _note(self, number: int, what: object) -> None:
        self._last = number
        self.history.setdefault(number, []).append(Event(self.steps, self.world.now, what))

    def _count(self, command: str, answer: object) -> None:
        self.told[f"{command} {answer or 'ok'}"] += 1
        self.steps += 1
