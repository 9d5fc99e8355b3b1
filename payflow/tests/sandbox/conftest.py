"""A sandbox as a process of its own, spoken to over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import urllib3

ROOT = Path(__file__).resolve().parents[3]
SECRET = "sandbox-secret-of-the-tests"
PATIENCE_SECONDS = 20


class Sandbox:
    """A process, and a client that tries nothing twice."""

    def __init__(self, book: Path, *, hang_seconds: float = 1, **environment: str) -> None:
        self.book = book
        self.port = 0
        self._hang_seconds = hang_seconds
        self._environment = os.environ | {"PAYFLOW_SANDBOX_SECRET": SECRET} | environment
        self._process: subprocess.Popen[str] | None = None
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=32, retries=False)

    # The process -------------------------------------------------------------------------------

    def start(self) -> "Sandbox":
        options = ["--port", str(self.port), "--hang-seconds", str(self._hang_seconds)]
        with self.book.with_suffix(".log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "payflow.sandbox", "--book", str(self.book), *options],
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("sandbox ready on http://127.0.0.1:"), self.errors
        self.port = int(line.rpartition(":")[2])
        return self

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(number)
        code = self._process.wait(10)
        self._process.stdout.close()
        self._pool.clear()
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def errors(self) -> str:
        return self.book.with_suffix(".log").read_text()

    # HTTP --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(
        self, method: str, path: str, content: Any = None, *, key: str = "", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        sent = {"Authorization": f"Bearer {SECRET}"} | headers
        if key:
            sent["Idempotency-Key"] = key
        body = json.dumps(content) if content is not None else None
        return self._pool.request(
            method, self.url + path, body=body, headers=sent, timeout=15, redirect=False
        )

    def authorise(
        self, token: str = "tok_test", *, key: str = "", acquirer: str = "sandbox", **more: Any
    ) -> urllib3.BaseHTTPResponse:
        body = order(token) | more
        path = f"/acquirers/{acquirer}/authorisations"
        return self.send("POST", path, body, key=key or new_key())

    def authorised(self, token: str = "tok_test", **more: Any) -> str:
        """The reference of a new hold of 250.00 USD."""
        reply = self.authorise(token, **more)
        assert reply.json()["status"] == "APPROVED", reply.data
        reference: str = reply.json()["reference"]
        return reference

    def capture(
        self, reference: str, amount: int, *, final: bool = False, key: str = "", **more: Any
    ) -> urllib3.BaseHTTPResponse:
        body = {"amountMinor": amount, "currency": "USD", "final": final} | more
        return self.follow_up(reference, "captures", body, key)

    def void(self, reference: str, key: str = "") -> urllib3.BaseHTTPResponse:
        return self.follow_up(reference, "voids", {}, key)

    def refund(
        self, reference: str, amount: int, key: str = "", **more: Any
    ) -> urllib3.BaseHTTPResponse:
        body = {"amountMinor": amount, "currency": "USD"} | more
        return self.follow_up(reference, "refunds", body, key)

    def follow_up(
        self, reference: str, verb: str, body: Any, key: str = ""
    ) -> urllib3.BaseHTTPResponse:
        path = f"/acquirers/sandbox/authorisations/{reference}/{verb}"
        return self.send("POST", path, body, key=key or new_key())

    def ask(self, key: str, acquirer: str = "sandbox") -> urllib3.BaseHTTPResponse:
        return self.send("GET", f"/acquirers/{acquirer}/operations/{key}")

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Every line of the book that has these values."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.send("GET", f"/book?after={after}&limit=1000").json()
            found += page["lines"]
            after = page["next"]
        return [line for line in found if wanted.items() <= line.items()]

    def control(self, name: str, content: Any) -> Any:
        reply = self.send("PUT", f"/control/{name}", content)
        assert reply.status == 200, reply.data
        return reply.json()


class Receiver(ThreadingHTTPServer):
    """Somebody who is called back: remembers what came, answers as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/callback"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        status = server.statuses.pop(0) if server.statuses else 204
        server.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def order(token: str = "tok_test") -> dict[str, Any]:
    return {
        "amountMinor": 25_000,
        "currency": "USD",
        "merchantReference": "pay-1",
        "instrument": {"type": "TOKEN", "token": token},
    }


def new_key() -> str:
    return str(uuid.uuid4())


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    started = Sandbox(tmp_path_factory.mktemp("sandbox") / "book.sqlite3").start()
    yield started
    assert started.stop() == 0
    assert started.errors == ""


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """One process for all tests; chaos and the like are switched off again."""
    yield shared_sandbox
    shared_sandbox.control("chaos", {"unknownRate": 0, "seed": 0})
    shared_sandbox.control("mute", {"on": True})


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A process for one test, which may kill it."""
    started = Sandbox(tmp_path / "book.sqlite3").start()
    yield started
    started.kill()
