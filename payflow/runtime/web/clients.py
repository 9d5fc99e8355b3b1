"""How many connections or requests each client has, and who may have one more."""

import threading
from collections import Counter

from shared.http.addresses import is_loopback, subscriber


class Clients:
    """
    Counts by client; safe to use from any thread.

    This machine itself is not counted: probes come from here, and so does everybody behind a
    proxy here that nobody has declared.
    """

    def __init__(self, most_each: int) -> None:
        self._most_each = most_each
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Count one more; false, and nothing counted, if the client has too many."""
        client = subscriber(address)
        with self._lock:
            if self._held[client] >= self._most_each and not is_loopback(address):
                return False
            self._held[client] += 1
            return True

    def release(self, address: str) -> None:
        """Count one less."""
        client = subscriber(address)
        with self._lock:
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]
