"""The faults: kill -9 of this process or that, and immediate shutdowns of PostgreSQL."""

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from payflow.runtime.processes import group_members, signal_process, wait_until

POSTGRES = "postgres"
# The sandbox is left alone: it plays the outside world, whose faults are another test's.
_WEIGHTS = {"web": 36, "dispatcher": 36, "worker": 24, "beat": 4}
_WAIT_SECONDS = 0.05
_PATIENCE_SECONDS = 60
_RECOVERY_SECONDS = 10


class NobodyToKill(Exception):
    """For a minute no process of the platform was there: nobody starts them again."""


class Faults:
    """So many faults in random order, each at a process that is alive at that moment."""

    def __init__(self, children: Path, *, kills: int, restarts: int, seed: int) -> None:
        self._children = children
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        kinds = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=kills)
        self._order = [*kinds, *[POSTGRES] * restarts]
        self._dice.shuffle(self._order)
        self.done: Counter[str] = Counter()

    def strike(
        self, *, pause_seconds: float, progress: Callable[[], int], report: Callable[[int], None]
    ) -> float:
        """
        Do all of them, a pause of about so many seconds after each; returns when the last one was.

        A fault waits until the load has come on since the one before, or for a while: a platform
        that never gets to its feet would lose nothing and prove nothing.
        """
        struck_at = time.monotonic()
        for number, kind in enumerate(self._order, 1):
            struck_at, before = self._one(kind), progress()
            report(number)
            if number < len(self._order):
                time.sleep(pause_seconds * self._dice.uniform(0.3, 1.7))
                wait_until(lambda before=before: progress() > before, _RECOVERY_SECONDS)  # type: ignore[misc]
        return struck_at

    def _one(self, kind: str) -> float:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not (pids := list(self._alive(kind))):
            if time.monotonic() > give_up_at:
                raise NobodyToKill(kind)
            # Whoever is being started again is not there; somebody else is, except a database.
            kind = kind if kind == POSTGRES else self._dice.choice(list(_WEIGHTS))
            time.sleep(_WAIT_SECONDS)
        number = signal.SIGQUIT if kind == POSTGRES else signal.SIGKILL
        signal_process(self._dice.choice(pids), number)
        self.done[kind] += 1
        return time.monotonic()

    def _alive(self, kind: str) -> Iterator[int]:
        for group in self._groups():
            if str(group["name"]).removesuffix("-2") == kind:
                members = [process.pid for process in group_members(int(group["pgid"]))]
                # Of the web, the master or a worker; PostgreSQL's server ends its own.
                yield from members if kind == "web" else [p for p in members if p == group["pgid"]]

    def _groups(self) -> list[dict[str, Any]]:
        try:
            groups: list[dict[str, Any]] = json.loads(self._children.read_text())
        except (FileNotFoundError, ValueError):  # being written at this moment
            return []
        return groups
