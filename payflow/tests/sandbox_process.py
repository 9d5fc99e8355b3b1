"""The sandbox as a process of its own, for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sandbox-secret-of-the-tests"
_PATIENCE = urllib3.Timeout(60)


class Sandbox:
    """An acquirer with a book of its own below a folder; ends with `stop` or the `with` block."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self._folder, self._arguments, self._port = folder, arguments, port
        self._process: subprocess.Popen[str] | None = None
        self._http = urllib3.PoolManager(maxsize=8, timeout=_PATIENCE)
        self.url = ""
        self.secret = SECRET

    def start(self) -> Self:
        """Start, and wait until it listens; again on the same port after a stop."""
        command = [sys.executable, "-m", "payflow.sandbox", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--book", str(self._folder / "sandbox.sqlite3"), *self._arguments],
            cwd=ROOT,
            env=os.environ | {"PAYFLOW_SANDBOX_SECRET": self.secret},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "sandbox ready on " in line, line
        self.url = line.split("sandbox ready on ")[1].strip()
        self._port = urlsplit(self.url).port or 0
        return self

    def stop(self) -> None:
        """End it; its book stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def control(self, path: str, **body: Any) -> None:
        """Set a gate, chaos or another fault: `control("gates/a", closed=True)`."""
        answer = self._ask("PUT", f"/control/{path}", json.dumps(body).encode())
        assert answer.status == 200, answer.data

    def waiting_at(self, gate: str) -> int:
        """How many calls wait at a gate."""
        waiting: int = self._ask("GET", f"/control/gates/{gate}").json()["waiting"]
        return waiting

    def book(self) -> list[dict[str, Any]]:
        """Every line, oldest first."""
        lines: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self._ask("GET", f"/book?after={after}&limit=1000").json()
            lines += page["lines"]
            after = page["next"]
        return lines

    def _ask(self, method: str, path: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        return self._http.request(method, self.url + path, body=body, headers=headers)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self.stop()
