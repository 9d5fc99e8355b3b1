"""Where the processor's time goes: seconds of CPU per part of the platform, from Linux's /proc."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Of `/proc/<pid>/stat`, counted after the command's name."""
_PARENT = 1


def seconds_by_part(home: Path, postgres_pid: int) -> "Counter[str]":
    """CPU seconds so far of each part of the platform in this home, and of its PostgreSQL."""
    spent: Any = Counter()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            part = _part(process, stat, home, postgres_pid)
        except OSError:
            continue
        if part:
            spent[part] += (int(stat[_USER]) + int(stat[_SYSTEM])) / _TICKS_PER_SECOND
    counted: Counter[str] = spent
    return counted


def pids_of(home: Path, part: str) -> list[int]:
    """The process ids of a part of the platform in this home, of all that run of it."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if _is_alive(process) and _part(process, ["", "-1"], home, 0) == part
    ]


def _is_alive(process: Path) -> bool:
    try:
        return bool((process / "environ").read_bytes())
    except OSError:
        return False


def _part(process: Path, stat: list[str], home: Path, postgres_pid: int) -> str:
    if int(stat[_PARENT]) == postgres_pid:
        return "postgres"
    environment = (process / "environ").read_bytes().split(b"\0")
    # The sandbox is told nothing of ours; its command names its book, which is kept there.
    is_at_home = f"PAYFLOW_HOME={home}".encode() in environment
    if not is_at_home and f"{home}/".encode() not in (process / "cmdline").read_bytes():
        return ""
    named = [entry for entry in environment if entry.startswith(b"PAYFLOW_PROCESS=")]
    name = named[0].partition(b"=")[2].decode() if named else ""
    return name.rstrip("0123456789").rstrip("-")
