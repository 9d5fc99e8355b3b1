"""A PayFlow for one story or one measurement: a free port, and nothing left of it afterwards."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from payflow.runtime.home import PROJECT, Home
from payflow.runtime.ports import free_port
from payflow.runtime.postgres_place import fallback_area
from payflow.runtime.processes import signal_process, wait_until

_START_SECONDS = 120
_STOP_SECONDS = 30
_LINES_SHOWN = 15
# The caller's configuration is not the story's: it gets a database, a broker and a mail directory
# of its own. Where PostgreSQL's programs are stays true.
_CONFIGURATION = re.compile(r"(PAYFLOW|DATABASE|CELERY|REDIS|EMAIL|DEFAULT_FROM|DJANGO|PG)")
_KEPT = frozenset({"PAYFLOW_PG_BIN"})


__all__ = ["Platform", "PlatformDidNotStart", "free_port", "platform", "scratch_home"]


class PlatformDidNotStart(Exception):
    """PayFlow could not be started for the story."""


@dataclass(frozen=True)
class Platform:
    """Where a running PayFlow serves and keeps its things."""

    url: str
    home: Path

    @property
    def port(self) -> int:
        """The port it serves on."""
        return int(self.url.rpartition(":")[2])

    @property
    def api(self) -> str:
        """Where the API begins."""
        return f"{self.url}/api/v1"

    @property
    def mail(self) -> Path:
        """The directory of e-mails."""
        return self.home / "mail"

    @property
    def sandbox_url(self) -> str:
        """Where its sandbox serves; empty when it has none."""
        found = re.search(r"^  Sandbox +(\S+)$", _output(self), re.MULTILINE)
        return found[1] if found else ""

    @property
    def last_lines(self) -> str:
        """The last lines that it has written."""
        return "\n".join(_output(self).splitlines()[-_LINES_SHOWN:])

    @property
    def sandbox_secret(self) -> str:
        """The sandbox's bearer token."""
        return Home(self.home).application_secrets()["PAYFLOW_SANDBOX_SECRET"]


@contextmanager
def scratch_home(purpose: str) -> Iterator[Path]:
    """An empty home that is removed with all data when the block ends."""
    home = Path(tempfile.mkdtemp(prefix=f"payflow-{purpose}-")).resolve()
    try:
        yield home
    finally:
        # PostgreSQL's data stand elsewhere when the home cannot be reached by its user.
        shutil.rmtree(fallback_area(home), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def platform(home: Path, **configuration: str) -> Iterator[Platform]:
    """
    A platform in this home, on a free port, for the block; stopped when it ends, however it ends.

    The caller's environment does not configure it; `configuration` does.

    Raises:
        PlatformDidNotStart: with the last lines that it has written.

    """
    port = free_port()
    running = Platform(f"http://127.0.0.1:{port}", home)
    environment = _environment(os.environ, home, port) | configuration
    with (
        (home / "run.log").open("w+b") as log,
        _supervisor(environment, log.fileno()) as process,
    ):
        _wait_until_ready(running, process)
        yield running


@contextmanager
def _supervisor(environment: Mapping[str, str], log: int) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "payflow.runtime"],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # A Ctrl-C is for the story, which then stops its platform in order.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        signal_process(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(given: Mapping[str, str], home: Path, port: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in given.items()
        if name in _KEPT or not _CONFIGURATION.match(name)
    }
    return kept | {"PAYFLOW_HOME": str(home), "PORT": str(port)}


def _wait_until_ready(running: Platform, process: "subprocess.Popen[bytes]") -> None:
    def is_over() -> bool:
        return process.poll() is not None or _is_running(running)

    if not wait_until(is_over, _START_SECONDS) or process.poll() is not None:
        raise PlatformDidNotStart(running.last_lines)


def _is_running(running: Platform) -> bool:
    # The supervisor says so once every part is ready; the web part alone would be too early.
    if "PayFlow is running." not in _output(running):
        return False
    # Not through somebody's proxy, which this knows nothing of.
    answer = urllib3.request("GET", f"{running.api}/health/ready", retries=False, timeout=20)
    return answer.status == 200  # noqa: PLR2004


def _output(running: Platform) -> str:
    return (running.home / "run.log").read_text(errors="replace")
