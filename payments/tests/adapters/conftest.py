"""The sandbox as a real process, for tests of what talks to it."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from payments.tests.adapters.rails import RAILS, Rail

_ROOT = Path(__file__).resolve().parents[3]
_SECRET = "secret-of-the-sandbox-in-tests"
_READY = re.compile(r"sandbox ready on (http://127\.0\.0\.1:[0-9]+)")
LIMIT_SECONDS = 2


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its address, its book, and its levers."""

    url: str
    secret: str

    def lines(self, key: UUID) -> list[dict[str, Any]]:
        """What its book says of an operation, refused lines included."""
        found, after = [], 0
        while page := self.ask("GET", f"/book?after={after}&limit=500"):
            found += [line for line in page["lines"] if line["key"] == str(key)]
            if not page["lines"]:
                return found
            after = page["lines"][-1]["sequence"]
        return found

    def approved(self, key: UUID) -> list[dict[str, Any]]:
        """The lines of an operation that moved money."""
        return [line for line in self.lines(key) if line["status"] == "APPROVED"]

    def pull(self, lever: str, **setting: Any) -> None:
        """Set one of its controls."""
        self.ask("PUT", f"/control/{lever}", setting)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Speak to it as its operator does, without the client under test."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={
                "Authorization": f"Bearer {self.secret}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@contextmanager
def running_sandbox(home: Path) -> Iterator[Sandbox]:
    """A sandbox of one's own; what hangs there outlasts our patience by far."""
    command = [sys.executable, "-m", "payflow.sandbox", "--port", "0"]
    command += ["--book", str(home / "book.sqlite"), "--hang-seconds", str(3 * LIMIT_SECONDS)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=os.environ | {"PAYFLOW_SANDBOX_SECRET": _SECRET},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            ready = _READY.search(process.stdout.readline())
            assert ready, (home / "log").read_text()
            yield Sandbox(ready[1], _SECRET)
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for the run."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox, settings: Settings) -> Sandbox:
    """The sandbox, with settings that lead the adapters to it."""
    _lead_to(sandbox_process, settings)
    return sandbox_process


@pytest.fixture
def fresh_sandbox(sandbox: Sandbox, tmp_path: Path, settings: Settings) -> Iterator[Sandbox]:
    """A sandbox that nobody else uses: flaky operations make its lists flaky for everybody."""
    with running_sandbox(tmp_path) as fresh:
        _lead_to(fresh, settings)
        yield fresh


def _lead_to(sandbox: Sandbox, settings: Settings) -> None:
    settings.SANDBOX_URL = settings.STRIPE_API_BASE = sandbox.url
    settings.SANDBOX_SECRET = sandbox.secret
    settings.STRIPE_SECRET_KEY = "sk_test_of_the_sandbox"
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    settings.PROCESSOR_TIMEOUT_SECONDS = LIMIT_SECONDS


@pytest.fixture(params=list(RAILS.values()), ids=list(RAILS))
def rail(request: pytest.FixtureRequest) -> Rail:
    """Every processor that decides at once."""
    found: Rail = request.param
    return found
