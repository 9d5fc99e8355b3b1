"""
Ending what an earlier server of the same data directory left running.

A killed supervisor leaves a whole server, a killed postmaster leaves backends for some moments, and
both leave `postmaster.pid`. The number in that file is never trusted alone: after a restart of the
machine it may belong to anybody. A process counts as ours when it works in the data directory.
"""

import signal
import subprocess
from collections.abc import Callable

from payflow.runtime.postgres_place import Place
from payflow.runtime.processes import (
    processes_working_in,
    sees_all_processes,
    signal_process,
    wait_until,
)

_FAST_SECONDS = 30
_IMMEDIATE_SECONDS = 10


def stop_leftovers(place: Place, report: Callable[[str], None]) -> None:
    """Leaves the data directory without server, backend or stale pid file."""
    running = postmaster_pid(place)
    if running and running in processes_working_in(place.data):
        report(f"stopping a PostgreSQL server that was left running (pid {running})")
        _stop_server(place)
    _stop_backends(place)
    _remove_stale_pid_file(place)


def postmaster_pid(place: Place) -> int | None:
    """The pid that the data directory names as its server's, which may be long dead."""
    lines = pid_file_lines(place)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def pid_file_lines(place: Place) -> list[str]:
    """The lines of `postmaster.pid`: the first is the pid, the eighth says `ready`."""
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _stop_server(place: Place) -> None:
    _pg_ctl_stop(place, "fast", _FAST_SECONDS)
    if processes_working_in(place.data):
        _pg_ctl_stop(place, "immediate", _IMMEDIATE_SECONDS)


def _pg_ctl_stop(place: Place, mode: str, seconds: int) -> None:
    program, data = str(place.binaries / "pg_ctl"), str(place.data)
    subprocess.run(
        [program, "stop", "-D", data, "-m", mode, "-w", "-t", str(seconds)],
        capture_output=True,
        check=False,
        **place.user.popen_options,
    )


def _stop_backends(place: Place) -> None:
    """Backends notice by themselves that their postmaster is gone, unless they are busy."""
    if wait_until(lambda: not processes_working_in(place.data), 2):
        return
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for pid in processes_working_in(place.data):
            signal_process(pid, number)
        if wait_until(lambda: not processes_working_in(place.data), 5):
            return


def _remove_stale_pid_file(place: Place) -> None:
    # PostgreSQL removes a stale file itself, except when a zombie or a stranger has the number now.
    if sees_all_processes() and not processes_working_in(place.data):
        (place.data / "postmaster.pid").unlink(missing_ok=True)
