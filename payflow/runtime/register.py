"""
The register of running process groups: what survives the supervisor knows what must not.

Every group is written to `children.json` and told to the guardian the moment it exists. A pid alone
identifies nobody, so the start time of the group's leader goes with it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from payflow.runtime import variables
from payflow.runtime.home import PROJECT
from payflow.runtime.processes import (
    environment_of,
    find_process,
    group_members,
    signal_group,
    wait_until,
)
from payflow.runtime.secrets_file import write_private

STOP_SECONDS = 8


@dataclass(frozen=True)
class Group:
    """A process group of ours: its leader when it started, and the signal that ends it cleanly."""

    pgid: int
    started: str
    name: str
    stop_signal: int = signal.SIGTERM

    @classmethod
    def of_leader(cls, pid: int, name: str, stop_signal: int = signal.SIGTERM) -> Self:
        """The group of a process that has just been started as leader of its own session."""
        leader = find_process(pid)
        return cls(pid, leader.started if leader else "", name, stop_signal)

    @property
    def is_alive(self) -> bool:
        """Whether any process of this very group, and not of a namesake, is left."""
        leader = find_process(self.pgid)
        if leader is not None:
            return leader.started == self.started
        # The leader is gone. Its number stays taken while its group has members; but if all of
        # them have ended since, these may be a stranger's, so they must show that they are ours.
        marker = f"PAYFLOW_PROCESS={self.name}"
        return any(marker in environment_of(member.pid) for member in group_members(self.pgid))


def stop_groups(groups: Iterable[Group], seconds: float = STOP_SECONDS) -> None:
    """Ends groups: first all that use the database, then, by SIGINT, the database itself."""
    groups = list(groups)
    _stop_together([group for group in groups if group.stop_signal != signal.SIGINT], seconds)
    _stop_together([group for group in groups if group.stop_signal == signal.SIGINT], seconds)


def _stop_together(groups: list[Group], seconds: float) -> None:
    for group in groups:
        if group.is_alive:
            signal_group(group.pgid, group.stop_signal)
    wait_until(lambda: not any(group.is_alive for group in groups), seconds)
    for group in groups:
        if group.is_alive:
            signal_group(group.pgid, signal.SIGKILL)


class Register:
    """The groups that are running now, in a file and in the guardian's memory."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._groups: dict[int, Group] = {}
        self._guardian: subprocess.Popen[bytes] | None = None

    def stop_leftovers(self) -> list[str]:
        """Ends what a killed supervisor has left, if its guardian has not; answers the names."""
        groups = [group for group in self._stored() if group.is_alive]
        stop_groups(groups)
        self._store()
        return [group.name for group in groups]

    def add(self, group: Group) -> None:
        """Records a group that has just been started."""
        self._groups[group.pgid] = group
        self._store()
        self._tell({"watch": asdict(group)})

    def remove(self, pgid: int) -> None:
        """Forgets a group that has ended."""
        if self._groups.pop(pgid, None):
            self._store()
            self._tell({"forget": pgid})

    def tend(self) -> bool:
        """Starts the guardian when there is none, and tells it all; True when it had to."""
        if self._guardian is not None and self._guardian.poll() is None:
            return False
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "payflow.runtime.guardian"],
            cwd=PROJECT,
            env=variables.of_the_system(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for group in self._groups.values():
            self._tell({"watch": asdict(group)})
        return True

    @property
    def guardian_pid(self) -> int | None:
        """The guardian's process, for those who want to see or test it."""
        return self._guardian.pid if self._guardian else None

    def close(self) -> None:
        """Says goodbye to the guardian: what is to be stopped has been stopped."""
        self._tell("bye")
        if self._guardian is not None and self._guardian.stdin is not None:
            with suppress(OSError):
                self._guardian.stdin.close()
            self._guardian.wait()
        self._guardian = None

    def _tell(self, message: object) -> None:
        # A guardian that has died hears nothing; `tend` starts another and repeats everything.
        if self._guardian is not None and self._guardian.stdin is not None:
            with suppress(OSError):
                self._guardian.stdin.write(json.dumps(message).encode() + b"\n")
                self._guardian.stdin.flush()

    def _store(self) -> None:
        groups = [asdict(group) for group in self._groups.values()]
        write_private(self._file, json.dumps(groups, indent=1) + "\n")

    def _stored(self) -> list[Group]:
        try:
            stored: list[dict[str, Any]] = json.loads(self._file.read_text())
            return [Group(**group) for group in stored]
        except (FileNotFoundError, ValueError, TypeError):
            return []
