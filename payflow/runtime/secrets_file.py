"""Generated secrets, kept in one file that only its owner may read."""

import os
from collections.abc import Callable
from pathlib import Path


class SecretsFile:
    """
    `NAME=value` lines in a file of mode 0600, each value generated when it is first asked for.

    A value is on disk before `value()` returns it: a database must never be initialised with a
    password that a crash then forgets.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether the secret exists already."""
        return bool(self._read().get(name))

    def value(self, name: str, generate: Callable[[], str]) -> str:
        """The stored secret, or a newly generated and stored one."""
        values = self._read()
        if not values.get(name):
            values[name] = generate()
            write_private(self.path, "".join(f"{key}={text}\n" for key, text in values.items()))
        return values[name]

    def _read(self) -> dict[str, str]:
        try:
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            return {}
        pairs = (line.partition("=") for line in lines if "=" in line)
        return {name.strip(): value.strip() for name, _, value in pairs}


def write_private(path: Path, content: str) -> None:
    """Writes a file of mode 0600 as a whole: after a crash it is the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
