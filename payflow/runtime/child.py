"""One child process of the supervisor: started, listened to, started again when it dies."""

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from payflow.runtime.console import Console
from payflow.runtime.home import PROJECT
from payflow.runtime.parts import Part
from payflow.runtime.private_files import LogFile
from payflow.runtime.probe import ask
from payflow.runtime.processes import signal_group, signal_process
from payflow.runtime.register import Group, Register

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 30
_PROBE_SECONDS = 2


class Child:
    """
    A part as a process in a session of its own, so that it gets no Ctrl-C but ours.

    `tend()` is to be called often: it notices death and readiness and does what is due.
    """

    def __init__(
        self,
        part: Part,
        *,
        environment: Callable[[], dict[str, str]],
        console: Console,
        register: Register,
        logs: Path,
    ) -> None:
        self.part = part
        self.is_ready = False
        self.deaths = 0
        self.last_answer = ""
        self.last_lines: deque[str] = deque(maxlen=25)
        self._environment = environment
        self._console = console
        self._register = register
        self._log = logs / f"{part.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._group: Group | None = None
        self._reader: threading.Thread | None = None
        self._said_ready = threading.Event()
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._started_at = 0.0
        self._start_again_at: float | None = None

    # Mutators ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the process; it is recorded before anything else happens."""
        self.is_ready = False
        self.last_answer = ""
        self._said_ready.clear()
        self._start_again_at = None
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            self.part.command,
            cwd=PROJECT,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._group = Group.of_leader(self._process.pid, self.part.name)
        self._register.add(self._group)
        self._reader = threading.Thread(
            target=self._listen, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()

    def tend(self) -> None:
        """Does what is due: notices death or readiness, starts again after a pause."""
        if self._start_again_at is not None:
            if time.monotonic() >= self._start_again_at:
                self.start()
        elif not self.is_alive:
            self._plan_restart()
        elif not self.is_ready:
            self._look_whether_ready()

    def ask_to_stop(self) -> None:
        """Asks the process, which asks its own children, to finish what it is doing."""
        self._start_again_at = None
        if self._process is not None and self.is_alive:
            signal_process(self._process.pid, signal.SIGTERM)

    def clear_up(self) -> None:
        """Ends whatever is left of the group and forgets it."""
        if self._process is None or self._group is None:
            return
        if self._group.is_alive:
            signal_group(self._group.pgid, signal.SIGKILL)
        self._process.wait()
        self._register.remove(self._group.pgid)
        self._group = None
        if self._reader is not None:
            self._reader.join(timeout=1)

    # Queries -----------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended, as `subprocess` says it; none while it runs."""
        return self._process.poll() if self._process is not None else None

    @property
    def pid(self) -> int:
        """The process, which leads a group of the same number."""
        return self._process.pid if self._process is not None else 0

    @property
    def evidence(self) -> str:
        """What it answered last, if it was asked, and what it wrote last: why it is not ready."""
        lines = "\n".join(f"    {line}" for line in self.last_lines)
        answer = f" {self.part.ready_url} answered {self.last_answer}." if self.last_answer else ""
        return f"{answer} Its last lines:\n{lines}"

    @property
    def is_overdue(self) -> bool:
        """Whether it should have been ready by now."""
        waited = time.monotonic() - self._started_at
        return not self.is_ready and waited > self.part.ready_within_seconds

    # Steps -------------------------------------------------------------------------------------

    def _plan_restart(self) -> None:
        lived_seconds = time.monotonic() - self._started_at
        self.clear_up()
        self.deaths += 1
        if lived_seconds > _STEADY_SECONDS:
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._start_again_at = time.monotonic() + self._pause_seconds
        self._say(f"{self.ending}; starting it again in {self._pause_seconds:g} s")
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    @property
    def ending(self) -> str:
        """How the process ended, in words."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _look_whether_ready(self) -> None:
        if self.part.ready_line:
            self.is_ready = self._said_ready.is_set()
        elif self.part.ready_url:
            status, said = ask(self.part.ready_url, patience_seconds=_PROBE_SECONDS)
            self.is_ready = status == HTTPStatus.OK
            self.last_answer = f"{status or 'nothing'} {said}"
        else:
            self.is_ready = True
        if self.is_ready:
            self._say(f"ready after {time.monotonic() - self._started_at:.1f} s")

    def _variables(self) -> dict[str, str]:
        # The name also marks the processes as ours for the register of process groups.
        own = {"PAYFLOW_PROCESS": self.part.name, "PYTHONUNBUFFERED": "1"}
        return self.part.chosen_from(self._environment()) | own | dict(self.part.environment)

    def _say(self, text: str) -> None:
        self._console.line(self.part.name, text)

    # Output, on a thread of its own ------------------------------------------------------------

    def _listen(self, output: BinaryIO) -> None:
        with output, closing(LogFile(self._log)) as log:
            for line in output:
                log.write(line)
                self._hear(line.decode(errors="replace").rstrip())

    def _hear(self, line: str) -> None:
        self.last_lines.append(line)
        if self.part.ready_line and self.part.ready_line in line:
            self._said_ready.set()
        if line and not any(text in line for text in self.part.hidden):
            self._say(line)
