"""What slow clients cost the others: probes beside hundreds of sockets of each kind."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3

from payflow.runtime.bench.ground import Ground, say
from payflow.runtime.bench.load import Measured
from payflow.runtime.bench.slow_clients import KINDS

_EACH = 500
_SECONDS = 20
_PROBE_EVERY_SECONDS = 0.02
_CONNECTING_SECONDS = 30


def measure(ground: Ground) -> None:
    """Probe `/health` over a new connection each time: alone, beside each kind, beside all."""
    with ground.platform() as running:
        _row("nobody else", _probe(running.port))
        for kind in KINDS:
            with slow_clients(running.port, {kind: _EACH}):
                _row(f"{_EACH} slow sockets: {kind}", _probe(running.port))
        with slow_clients(running.port, dict.fromkeys(KINDS, _EACH)):
            _row(f"{_EACH} of each kind at once", _probe(running.port))


@contextmanager
def slow_clients(port: int, wanted: dict[str, int], seconds: float = 120) -> Iterator[None]:
    """Have so many of each kind bother this port for the block."""
    module = "payflow.runtime.bench.slow_clients"
    commands = [
        [sys.executable, "-m", module, str(port), kind, str(count), str(seconds)]
        for kind, count in wanted.items()
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline()  # noqa: S101
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _probe(port: int) -> Measured:
    measured = Measured()
    over = time.monotonic() + _SECONDS
    while time.monotonic() < over:
        started = time.perf_counter()
        with urllib3.PoolManager(retries=False, timeout=_CONNECTING_SECONDS) as pool:
            status = pool.request("GET", f"http://127.0.0.1:{port}/api/v1/health").status
        measured.latencies.append(time.perf_counter() - started)
        measured.statuses[status] = measured.statuses.get(status, 0) + 1
        time.sleep(_PROBE_EVERY_SECONDS)
    return measured


def _row(what: str, measured: Measured) -> None:
    figures = ", ".join(
        f"p{share:g} {measured.percentile_ms(share / 100):.0f}" for share in (50, 99, 100)
    )
    say(what, f"{figures} ms {measured.statuses}")
