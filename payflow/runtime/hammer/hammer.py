"""Running many races side by side, then asking the acquirer's book and the ledger what happened."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from payflow.runtime.hammer.client import RacingMerchant, SandboxControl
from payflow.runtime.hammer.oracle import Oracle
from payflow.runtime.hammer.races import Races, Round

ENOUGH_OVERLAP = 0.5
_SAMPLE_SECONDS = 0.5
_PROBLEMS_KEPT = 20
_SETTLE_SECONDS = 60

Imbalance = Callable[[], list[str]]
"""What is wrong with the books right now; empty when the trial balance is zero."""


@dataclass
class Verdict:
    """What was tried, and what held."""

    rounds: Counter[str] = field(default_factory=Counter)
    overlapping: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    refused_by_acquirer: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def overlap(self) -> float:
        """The share of rounds in which the demands truly met."""
        return sum(self.overlapping.values()) / max(1, sum(self.rounds.values()))

    @property
    def held(self) -> bool:
        """Whether nothing went wrong, in enough true races to say so."""
        is_clean = not self.problems and not self.refused_by_acquirer
        return is_clean and self.overlap >= ENOUGH_OVERLAP

    def table(self) -> str:
        """For people."""
        lines = [f"{'race':<26}{'rounds':>8}{'overlapping':>13}"]
        for kind, count in sorted(self.rounds.items()):
            lines.append(f"{kind:<26}{count:>8}{self.overlapping[kind] / count:>12.0%}")
        endings = ", ".join(f"{count} {status}" for status, count in sorted(self.endings.items()))
        lines += [
            f"three-way races ended: {endings}" if endings else "",
            f"trial balance looked at {self.samples} times; "
            f"the acquirer had to refuse {self.refused_by_acquirer} calls",
            *self.problems[:_PROBLEMS_KEPT],
            f"{sum(self.rounds.values())} rounds in {self.seconds:.0f} s, "
            f"{self.overlap:.0%} overlapping: {len(self.problems)} problems",
        ]
        return "\n".join(line for line in lines if line)


class Hammer:
    """Races against one platform, `lanes` of them at a time."""

    def __init__(
        self,
        client: RacingMerchant,
        sandbox: SandboxControl,
        *,
        imbalance: Imbalance,
        expiry_seconds: float = 3.0,
    ) -> None:
        self._client, self._sandbox, self._imbalance = client, sandbox, imbalance
        self._expiry_seconds = expiry_seconds
        self._verdict = Verdict()
        self._lock = threading.Lock()

    def strike(self, rounds: int, *, lanes: int) -> Verdict:
        """Run so many races and judge them."""
        began, place = time.monotonic(), self._sandbox.position()
        numbers = iter(range(rounds))
        stopping = threading.Event()
        sampler = threading.Thread(target=self._watch_books, args=(stopping,))
        sampler.start()
        try:
            with ThreadPoolExecutor(lanes) as pool:
                done = list(pool.map(lambda _: self._lane(numbers), range(lanes)))
        finally:
            stopping.set()
            sampler.join()
        self._judge(list(itertools.chain(*done)), place)
        self._verdict.seconds = time.monotonic() - began
        return self._verdict

    def _lane(self, numbers: Iterator[int]) -> list[Round]:
        races = Races(self._client, self._sandbox, expiry_seconds=self._expiry_seconds)
        done = []
        try:
            while (number := self._next(numbers)) is not None:
                done.append(races.run(number))
        finally:
            races.close()
        return done

    def _next(self, numbers: Iterator[int]) -> int | None:
        with self._lock:
            return next(numbers, None)

    def _watch_books(self, stopping: threading.Event) -> None:
        while not stopping.wait(_SAMPLE_SECONDS):
            self._verdict.problems += self._imbalance()
            self._verdict.samples += 1

    def _judge(self, done: list[Round], place: int) -> None:
        verdict = self._verdict
        for found in done:
            verdict.rounds[found.kind] += 1
            verdict.overlapping[found.kind] += found.is_overlapping
            verdict.endings[found.ended_as] += bool(found.ended_as)
            verdict.problems += [f"{found.payment_id} {text}" for text in found.problems]
        verdict.endings += Counter()
        oracle = Oracle(self._sandbox.lines(after=place))
        verdict.refused_by_acquirer = oracle.refused
        with ThreadPoolExecutor(8) as pool:
            for problems in pool.map(lambda found: self._compare(oracle, found), done):
                verdict.problems += problems
        verdict.problems += self._imbalance() + self._client.server_errors

    def _compare(self, oracle: Oracle, found: Round) -> list[str]:
        give_up = time.monotonic() + _SETTLE_SECONDS
        while True:  # the ledger follows its events
            payment = self._client.get(f"/payments/{found.payment_id}")
            problems = oracle.problems(payment)
            if not problems or time.monotonic() > give_up:
                return [f"{found.payment_id} {problem}" for problem in problems]
            time.sleep(0.2)
