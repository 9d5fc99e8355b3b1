"""Real processes of the platform for tests: started on the test's database, killed by signal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from django.db import connections

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90


class Process:
    """One part of the platform in a process group of its own; ends with the `with` block."""

    def __init__(self, command: list[str], log: Path, ready: str, **environment: str) -> None:
        self._command, self._log, self._ready = command, log, ready
        self._environment = os.environ | database_urls() | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start, and wait for the line that says it is ready."""
        self._log.write_bytes(b"")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self._ready in self.output() or self._has_ended(), self.output)
        assert not self._has_ended(), self.output()
        return self

    def run_to_its_end(self) -> int:
        """Start, and wait until it ends by itself; returns its exit code, negative for a signal."""
        with self._log.open("wb") as log:
            return subprocess.run(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            ).returncode

    def kill(self) -> None:
        """kill -9, the whole group."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, then wait; nothing if it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, task: str) -> None:
        """Send a Celery task from a process with this one's environment, as the beat does."""
        code = f"from payflow.celery import app; app.send_task({task!r})"
        command = [sys.executable, "-c", code]
        subprocess.run(command, env=self._environment, cwd=ROOT, check=True)

    @property
    def exit_code(self) -> int | None:
        """How it ended; none while it runs."""
        assert self._process is not None
        return self._process.poll()

    def output(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def __enter__(self) -> Self:
        """Stop it when the block ends, however it ends; `start` it when it should run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def dispatcher(folder: Path, *, name: str = "dispatcher", **environment: str) -> Process:
    """`manage.py dispatch`."""
    command = [sys.executable, "manage.py", "dispatch"]
    ours = {"PAYFLOW_PROCESS": name}
    return Process(command, folder / f"{name}.log", "dispatcher ready", **ours | environment)


def web(folder: Path, port: int, **environment: str) -> Process:
    """gunicorn with two workers on this port."""
    command = [sys.executable, "-m", "gunicorn", "payflow.runtime.wsgi:application"]
    options = ["-c", "payflow/runtime/gunicorn.py", "--log-level", "info"]
    return Process(
        command + options, folder / "web.log", "Listening at", PORT=str(port), **environment
    )


def worker(
    folder: Path, *, broker_url: str = "", name: str = "worker", **environment: str
) -> Process:
    """A Celery worker, on the embedded broker by default, with its own queue and mail folder."""
    pool = ["--pool=threads", "--concurrency=2", "--without-gossip", f"--hostname={name}@%h"]
    return _celery("worker", folder, name, " ready.", broker_url, *pool, **environment)


def beat(folder: Path, *, broker_url: str = "", name: str = "beat", **environment: str) -> Process:
    """A Celery beat that ticks for the workers of the same folder."""
    files = [f"--schedule={folder / name}.schedule", "--pidfile="]
    return _celery("beat", folder, name, "beat: Starting", broker_url, *files, **environment)


def queue_of(folder: Path) -> str:
    """The name of the bells' queue of the workers of this folder."""
    return f"test_{folder.name}"[:32].replace("-", "_")


def _celery(
    command: str, folder: Path, name: str, ready: str, url: str, *options: str, **environment: str
) -> Process:
    program = [sys.executable, "-m", "celery", "-A", "payflow.celery", command, "--loglevel=INFO"]
    ours = {
        "CELERY_BROKER_URL": url or os.environ["PAYFLOW_TEST_BROKER_URL"],
        "PAYFLOW_CELERY_QUEUE": queue_of(folder),
        "PAYFLOW_EMAIL_DIRECTORY": str(folder / "mail"),
        "PAYFLOW_LOG_LEVEL": "INFO",
        "PAYFLOW_PROCESS": name,
    }
    return Process([*program, *options], folder / f"{name}.log", ready, **ours | environment)


def database_urls() -> dict[str, str]:
    """The test's database, for another process."""
    return {
        "DATABASE_URL": _url("default"),
        "DATABASE_OWNER_URL": _url("owner"),
        "PAYFLOW_SQL_WALL": "",
    }


def wait_until(holds: Callable[[], bool], explain: Callable[[], str] = lambda: "") -> None:
    """Look until it holds; fails after a minute and a half, saying why."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"it did not happen in time\n{explain()}"
        time.sleep(0.02)


def _url(alias: str) -> str:
    at = connections[alias].settings_dict
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
