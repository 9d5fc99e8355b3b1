"""What the person who typed `make run` sees: one line at a time, each with the name of its part."""

import os
import sys
import threading
from contextlib import suppress
from typing import TextIO

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)
_BOLD, _RED = 1, 31


class Console:
    """Prints lines of several threads whole and aligned, in colour only on a terminal."""

    def __init__(self, names: tuple[str, ...], stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._width = max(len(name) for name in ("payflow", *names))
        self._colours = dict(zip(names, _COLOURS * len(names), strict=False))
        self._is_colourful = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    def line(self, part: str, text: str) -> None:
        """A line that a part has written, or that is about it."""
        prefix = f"{part:<{self._width}} |"
        self._write(f"{self._painted(prefix, self._colours.get(part, _BOLD))} {text}")

    def say(self, text: str) -> None:
        """Something the supervisor itself has to say."""
        self.line("payflow", text)

    def problem(self, text: str) -> None:
        """Why it cannot go on."""
        prefix = self._painted(f"{'payflow':<{self._width}} |", _RED)
        for line in text.splitlines():
            self._write(f"{prefix} {line}")

    def block(self, text: str) -> None:
        """Lines that stand for themselves."""
        self._write(text)

    def _painted(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._is_colourful else text

    def _write(self, text: str) -> None:
        # The terminal may be gone (SIGHUP); stopping the children matters more than telling it.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()
