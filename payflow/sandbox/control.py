"""The hands of an operator: gates to hold operations at, chaos, and switching things off."""

import threading
from dataclasses import dataclass

from payflow.sandbox.faults import Strike, chaos_strike

LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Chaos:
    """How many sends of any operation end in doubt, from 0 to 1, and which ones."""

    unknown_rate: float = 0
    seed: int = 0


class Control:
    """What is switched on just now; a restart switches it off, gates open and inquiries mute."""

    def __init__(self) -> None:
        self.chaos = Chaos()
        self.is_mute = True
        self._changed = threading.Condition()
        self._closed: set[str] = set()
        self._waiting: dict[str, int] = {}
        self._down: set[str] = set()

    # Gates -------------------------------------------------------------------------------------

    def set_gate(self, name: str, *, is_closed: bool) -> None:
        """Closes a gate, or opens it for all who wait there."""
        with self._changed:
            (self._closed.add if is_closed else self._closed.discard)(name)
            self._changed.notify_all()

    def gate(self, name: str) -> tuple[bool, int]:
        """Whether it is closed, and how many wait at it."""
        with self._changed:
            return name in self._closed, self._waiting.get(name, 0)

    def pass_gate(self, name: str) -> None:
        """Waits while the gate is closed, a minute at most."""
        with self._changed:
            if name not in self._closed:
                return
            self._waiting[name] = self._waiting.get(name, 0) + 1
            try:
                self._changed.wait_for(lambda: name not in self._closed, LONGEST_WAIT_SECONDS)
            finally:
                self._waiting[name] -= 1

    # Everything else ---------------------------------------------------------------------------

    def set_down(self, acquirer: str, *, is_down: bool) -> None:
        """Lets an acquirer reset every call, or serve again."""
        with self._changed:
            (self._down.add if is_down else self._down.discard)(acquirer)

    def is_down(self, acquirer: str) -> bool:
        """Whether it resets every call."""
        return acquirer in self._down

    def strike(self, key: str, send_number: int) -> Strike | None:
        """What chaos does to a send."""
        chaos = self.chaos
        return chaos_strike(chaos.unknown_rate, chaos.seed, key, send_number)
