"""What the dispatcher's loops share out among themselves: the names that were rung."""

import threading
import time
from collections.abc import Iterable


class Names:
    """
    Names of listeners and intents that have something to do, each taken by one loop at a time.

    Two loops on one name would only wait for each other's rows. The name that was served longest
    ago goes first, so that none starves while others are busy.
    """

    def __init__(self) -> None:
        """Start with nothing rung."""
        self._changed = threading.Condition()
        self._rung: set[str] = set()
        self._taken: set[str] = set()
        self._served_at: dict[str, float] = {}

    def ring(self, names: Iterable[str]) -> None:
        """Say that these have something to do; from any thread, returns at once."""
        with self._changed:
            self._rung.update(names)
            self._changed.notify_all()

    def take(self, seconds: float) -> str | None:
        """The next name for the calling loop, or none when nothing is rung in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung - self._taken, timeout=max(0.0, seconds))
            free = self._rung - self._taken
            if not free:
                return None
            name = min(free, key=lambda rung: self._served_at.get(rung, 0.0))
            self._rung.discard(name)
            self._taken.add(name)
            self._served_at[name] = time.monotonic()
            return name

    def give_back(self, name: str, *, again: bool) -> None:
        """End a turn with a name; `again` when there may be more to do."""
        with self._changed:
            self._taken.discard(name)
            if again:
                self._rung.add(name)
            self._changed.notify_all()
