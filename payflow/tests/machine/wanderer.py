"""What to do next, at random from a seed, with a taste for trouble."""

import random
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from payflow.tests.machine.auditor import Life
from payflow.tests.machine.calls import AUTHORISE, CAPTURE, FAILED, REFUND, SEND, VOID, Call
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
)
from payflow.tests.machine.machine import Machine
from payflow.tests.machine.processor import Answer

ALIVE = 40
_AMOUNTS = (1, 2, 3, 99, 100, 101, 25_000, 999_999_999_999, 10**15)
_SENT = {
    Answer("APPROVED", True): 60,
    Answer("DECLINED", False): 7,
    Answer("RETRYABLE", False): 6,
    Answer("NOT_SENT", False): 6,
    Answer("NOT_SENT", True): 3,
    Answer("UNKNOWN", True): 7,
    Answer("UNKNOWN", False): 5,
    Answer("PENDING", False): 6,
}
_SENT_AGAIN = {
    Answer("NOT_SENT", False): 40,
    Answer("RETRYABLE", False): 25,
    Answer("NOT_SENT", True): 8,
    Answer("APPROVED", True): 15,
    Answer("UNKNOWN", False): 7,
    Answer("DECLINED", False): 5,
}
_SENT_THOUGH_DONE = {
    Answer("NOT_SENT", True): 60,
    Answer("APPROVED", True): 25,
    Answer("UNKNOWN", True): 15,
}
_INQUIRED = {
    Answer("NOT_SENT", False): 35,
    Answer("NOT_SENT", True): 5,
    Answer("UNKNOWN", False): 15,
    Answer("UNKNOWN", True): 5,
    Answer("PENDING", False): 10,
    Answer("DECLINED", False): 12,
    Answer("RETRYABLE", False): 3,
    Answer("APPROVED", True): 15,
}
_INQUIRED_THOUGH_DONE = {
    Answer("APPROVED", True): 70,
    Answer("UNKNOWN", True): 15,
    Answer("PENDING", True): 10,
    Answer("NOT_SENT", True): 5,
}
_LOOKED_AT_LATE = {
    Answer("NOT_SENT", False): 30,
    Answer("UNKNOWN", False): 10,
    Answer("APPROVED", True): 60,
}
_ALREADY_TOLD = {Answer("APPROVED", True): 1}


class Wanderer:
    """A driver that asks the auditor where the interesting places are."""

    def __init__(self, seed: int) -> None:
        """The same seed, the same commands."""
        self._random = random.Random(seed)
        self._keys: deque[str] = deque(maxlen=60)
        self._counter = 0
        self._then: Command | None = None

    def step(self, machine: Machine) -> Command:
        """Choose a command and have it done. Raises: Disagreement."""
        command = self._next(machine)
        machine.do(command)
        self._retire(machine)
        return command

    def _next(self, machine: Machine) -> Command:
        if self._then is not None:
            command, self._then = self._then, None
            return command
        if len(machine.lives) < ALIVE // 2:
            return self._initiate(machine)
        weights: dict[Callable[[Machine], Command], float] = {
            self._initiate: 10,
            self._assess: 12,
            self._ask: 34,
            self._dry: 8,
            self._cancel: 6,
            self._run: 30,
            self._expire: 3,
            self._wait: 2,
        }
        (choice,) = self._random.choices(list(weights), list(weights.values()))
        return choice(machine)

    # Commands

    def _initiate(self, machine: Machine) -> Initiate:
        merchant = self._random.randrange(2)
        if machine.answered and self._maybe(0.04):
            return self._random.choice([told for told, _ in machine.answered.values()])
        if machine.burnt and self._maybe(0.05):
            merchant, key = self._random.choice(sorted(machine.burnt))
            return Initiate(merchant, key, 100, "USD", through_door=True)
        known = [key for owner, key in machine.keys if owner == merchant][-200:]
        key = self._random.choice(known) if known and self._maybe(0.04) else self._new_key()
        return Initiate(
            merchant,
            key,
            self._amount(),
            self._random.choice(["JPY", "USD", "KWD"]),
            captures_at_once=self._maybe(0.25),
            capture_before=self._deadline(machine) if self._maybe(0.6) else None,
            through_door=self._maybe(0.2),
        )

    def _assess(self, machine: Machine) -> Assess:
        waiting = [n for n, life in machine.lives.items() if self._awaits_fraud(life)]
        number = self._random.choice(
            waiting if waiting and self._maybe(0.85) else self._all(machine)
        )
        is_review = machine.lives[number].status == "IN_REVIEW"
        if self._maybe(0.1):
            is_review = not is_review
        decisions = ["APPROVE"] * 12 + ["DECLINE"] + ["REVIEW"] * (0 if is_review else 3)
        return Assess(number, self._random.choice(decisions), is_review=is_review)

    def _ask(self, machine: Machine) -> Ask:
        number = self._promising(machine)
        life = machine.lives[number]
        kinds = [CAPTURE] * 4 + [VOID] + [REFUND] * (5 if life.captured else 1)
        kind = self._random.choice(kinds)
        free = life.unrefunded if kind == REFUND else life.uncaptured
        key = (
            self._random.choice(self._keys) if self._keys and self._maybe(0.05) else self._new_key()
        )
        self._keys.append(key)
        return Ask(
            number,
            kind,
            key,
            None if kind == VOID else self._portion(free, life.amount),
            is_final=self._maybe(0.4),
        )

    def _dry(self, machine: Machine) -> Ask:
        asked = self._ask(machine)
        return Ask(
            asked.payment, asked.kind, asked.key, asked.amount, is_final=asked.is_final, is_dry=True
        )

    def _cancel(self, machine: Machine) -> Cancel:
        if self._maybe(0.1):
            return Cancel(self._random.randrange(2), self._new_key(), self._new_key())
        if machine.burnt and self._maybe(0.05):
            return Cancel(*self._random.choice(sorted(machine.burnt)), self._new_key())
        known = {key: n for key, n in machine.keys.items() if n in machine.lives}
        sent = [key for key, n in known.items() if self._is_undecided(machine.lives[n])]
        keys = sorted(sent if sent and self._maybe(0.4) else known)
        key = (
            self._random.choice(self._keys) if self._keys and self._maybe(0.05) else self._new_key()
        )
        return Cancel(*self._random.choice(keys), key)

    def _run(self, machine: Machine) -> Command:
        calls = {number: self._interesting(life) for number, life in machine.lives.items()}
        waiting = [number for number, interesting in calls.items() if interesting]
        if not waiting:
            return Wait(0.1)
        wanted = min(len(waiting), self._random.choice([1, 1, 2, 4, 8, 16]))
        numbers = self._random.sample(waiting, wanted)
        return Run(tuple(self._reply(n, machine.lives[n], calls[n]) for n in numbers))

    def _expire(self, machine: Machine) -> Expire:
        return Expire()

    def _wait(self, machine: Machine) -> Wait:
        ending = [
            life.deadline for life in machine.lives.values() if life.deadline and life.capturing
        ]
        hours = [(end - machine.world.now).total_seconds() / 3600 for end in ending]
        soon = [left for left in hours if 0 <= left <= 24]
        if soon and self._maybe(0.5):
            self._then = Expire()
            return Wait(min(soon) + 0.001)
        return Wait(round(self._random.choice([0.1, 1, 4, 24]) * self._random.random(), 3))

    # Choices

    def _promising(self, machine: Machine) -> int:
        weights = [
            8 if life.is_held else 5 if life.unrefunded else 1 for life in machine.lives.values()
        ]
        return self._random.choices(self._all(machine), weights)[0]

    def _reply(self, number: int, life: Life, interesting: list[Call]) -> Reply:
        chosen = self._random.choice(interesting)
        call = next(i for i, call in enumerate(life.calls) if call is chosen)
        return Reply(number, call, self._answer(life.calls[call], number))

    def _interesting(self, life: Life) -> list[Call]:
        late = [call for call in life.calls if call.state == FAILED and call.is_done]
        told = [call for call in life.calls if call.was_late]
        if late and self._maybe(0.15):
            return late
        if told and self._maybe(0.05):
            return told
        return [call for call in life.calls if call.is_open] or (
            [call for call in life.calls if call.state != "DROPPED"] if self._maybe(0.002) else []
        )

    def _answer(self, call: Call, number: int) -> Answer:
        is_unlucky = number % 6 == 0 and call.kind != AUTHORISE
        if call.was_late:
            answers = _ALREADY_TOLD
        elif not call.is_open:
            answers = _INQUIRED_THOUGH_DONE if call.is_done else _LOOKED_AT_LATE
        elif call.step == SEND and call.is_done:
            answers = _SENT_THOUGH_DONE
        elif call.step == SEND:
            answers = _SENT_AGAIN if call.sends or is_unlucky else _SENT
        else:
            answers = _INQUIRED_THOUGH_DONE if call.is_done else _INQUIRED
        return self._random.choices(list(answers), list(answers.values()))[0]

    def _portion(self, free: int, amount: int) -> int | None:
        choices = [None, 1, free, free + 1, amount, amount + 1, self._random.randint(1, amount)]
        wanted = self._random.choice(choices + [self._random.randint(1, max(1, free))] * 4)
        return max(1, wanted) if wanted is not None else None

    def _amount(self) -> int:
        if self._maybe(0.4):
            return self._random.choice(_AMOUNTS)
        return self._random.randint(1, 1_000_000)

    def _deadline(self, machine: Machine):
        return machine.world.now + timedelta(hours=self._random.choice([0.5, 2, 4, 8, 24, 96, 240]))

    def _is_undecided(self, life: Life) -> bool:
        return life.status == "PENDING" and any(call.sends for call in life.calls)

    def _awaits_fraud(self, life: Life) -> bool:
        return life.status == "IN_REVIEW" or (life.status == "PENDING" and not life.is_assessed)

    def _retire(self, machine: Machine) -> None:
        if len(machine.lives) > ALIVE:
            over = [number for number, life in machine.lives.items() if life.is_over]
            if over:
                machine.retire(self._random.choice(over))

    def _all(self, machine: Machine) -> list[int]:
        return list(machine.lives)

    def _new_key(self) -> str:
        self._counter += 1
        return f"key-{self._counter}"

    def _maybe(self, probability: float) -> bool:
        return self._random.random() < probability
