"""
Looking at processes and groups of them, and ending those that are certainly ours.

Linux is read from `/proc`; other systems through `ps`. A zombie counts as gone everywhere: it holds
no file, port or memory, and in a container without an init nobody may ever collect it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One line of the process table; `started` tells two users of the same pid apart."""

    pid: int
    pgid: int
    started: str


def find_process(pid: int) -> Process | None:
    """The living process with this pid."""
    if sees_all_processes():
        return _read_stat(pid)
    return next((process for process in _processes() if process.pid == pid), None)


def group_members(pgid: int) -> list[Process]:
    """The living processes of a group."""
    return [process for process in _processes() if process.pgid == pgid]


def processes_working_in(directory: Path) -> list[int]:
    """Pids whose working directory this is: a PostgreSQL server and its backends, for its data."""
    return [process.pid for process in _processes() if _works_in(process.pid, directory)]


def sees_all_processes() -> bool:
    """Whether `/proc` tells us all of this, or `ps` only a part of it."""
    return (_PROC / "self" / "stat").exists()


def environment_of(pid: int) -> str:
    """The environment a process was started with, NUL-separated; empty when it is not visible."""
    try:
        return (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def signal_group(pgid: int, number: int) -> None:
    """Sends a signal to a whole group, which may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def signal_process(pid: int, number: int) -> None:
    """Sends a signal to one process, which may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def stop_group(pgid: int, number: int, seconds: float) -> None:
    """Asks a group to end and, after the given time, ends it."""
    signal_group(pgid, number)
    if not wait_until(lambda: not group_members(pgid), seconds):
        signal_group(pgid, signal.SIGKILL)
        wait_until(lambda: not group_members(pgid), 2)


def wait_until(holds: Callable[[], bool], seconds: float, *, every_seconds: float = 0.05) -> bool:
    """Looks now and then until the condition holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True


def _processes() -> Iterator[Process]:
    if not sees_all_processes():
        yield from _from_ps()
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (process := _read_stat(int(entry.name))):
            yield process


def _read_stat(pid: int) -> Process | None:
    try:
        content = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name in parentheses may itself contain spaces and parentheses.
    fields = content.rpartition(")")[2].split()
    state, pgid, started = fields[0], int(fields[2]), fields[19]
    return None if state in "ZX" else Process(pid, pgid, f"{started}@{_boot_id()}")


@cache
def _boot_id() -> str:
    # Start times count from boot, so they repeat after one.
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _from_ps() -> Iterator[Process]:
    command = ["ps", "-A", "-o", "pid=,pgid=,stat=,lstart="]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in lines.splitlines():
        pid, pgid, state, started = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield Process(int(pid), int(pgid), started.strip())


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return (_PROC / str(pid) / "cwd").samefile(directory)
    except OSError:
        return not sees_all_processes() and str(directory) in _command_of(pid)


def _command_of(pid: int) -> str:
    command = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
