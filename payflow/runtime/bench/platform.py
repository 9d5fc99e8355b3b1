"""A platform of its own for measuring: started on a given database, stopped by its pid."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payflow.runtime.embedded_postgres import EmbeddedPostgres, is_free

_PATIENCE_SECONDS = 90


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on."""
    return next(port for port in range(8100, 8999) if is_free(port))


@contextmanager
def running(home: Path, server: EmbeddedPostgres, port: int) -> Iterator[None]:
    """Run web, dispatcher, worker and beat on this server's database until the block ends."""
    environment = os.environ | {
        "PAYFLOW_HOME": str(home),
        "PORT": str(port),
        "DATABASE_URL": server.app_url,
        "DATABASE_OWNER_URL": server.owner_url,
        "CELERY_BROKER_URL": server.broker_url,
        "PAYFLOW_LOG_LEVEL": "WARNING",
    }
    log = (home / "platform.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "payflow.runtime"], env=environment, stdout=log, stderr=log
    )
    try:
        _wait_until_healthy(process, port)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        log.close()


def register(port: int) -> tuple[str, str]:
    """Register a merchant over HTTP; returns its id and its key."""
    body = json.dumps({"name": "Acme", "email": f"bench-{time.time_ns()}@example.com"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/merchants/register",
        body,
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        merchant = json.load(answer)
    return merchant["merchantId"], merchant["apiKey"]


def _wait_until_healthy(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/api/v1/health/ready", timeout=2
            ):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("The platform did not start; see platform.log in its home.")
