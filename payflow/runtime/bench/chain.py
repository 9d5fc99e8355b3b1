"""The whole chain: over HTTP, and as a backlog drained by one or more dispatchers."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass

from payflow.client import Client
from payflow.runtime.bench import cpu, load
from payflow.runtime.bench.ground import Ground

_CONNECTIONS = 16


@dataclass(frozen=True)
class OverHttp:
    """Payments per second to the last e-mail, and how requests were answered."""

    rate: float
    busy: load.Measured
    relaxed: load.Measured
    cpu: Counter[str]


@dataclass(frozen=True)
class Drained:
    """Payments per second of a backlog, to the last e-mail."""

    rate: float
    cpu: Counter[str]


def over_http(ground: Ground, payments: int) -> OverHttp:
    """Send so many as fast as they are answered; then half of them at half that rate."""
    with ground.platform() as running:
        merchant = Client.register(running.api, name="Acme", email="acme@example.com")

        def send(count: int, tag: str, per_second: float = 0.0) -> load.Measured:
            requests = load.signed_payments(merchant.signer, count, tag=tag)
            return load.send(
                requests, port=running.port, connections=_CONNECTIONS, per_second=per_second
            )

        send(payments // 10, "warm")
        ground.wait_until_drained()
        before, started = cpu.seconds_by_part(ground.home, ground.server.pid), time.perf_counter()
        busy = send(payments, "busy")
        ground.wait_until_drained()
        rate = payments / (time.perf_counter() - started)
        spent = cpu.seconds_by_part(ground.home, ground.server.pid) - before
        relaxed = send(payments // 2, "relaxed", rate / 2)
        ground.wait_until_drained()
    return OverHttp(rate, busy, relaxed, spent)


def drain(ground: Ground, payments: int, *, dispatchers: int = 1, batch: int = 100) -> Drained:
    """Write a backlog while the dispatchers are suspended, let them go, and time it to the end."""
    settings = {"PAYFLOW_DISPATCHERS": str(dispatchers), "PAYFLOW_BATCH_SIZE": str(batch)}
    with ground.platform(**settings):
        suspended = cpu.pids_of(ground.home, "dispatcher")
        for pid in suspended:
            os.kill(pid, signal.SIGSTOP)
        ground.run("-m", "payflow.runtime.bench.backlog", str(payments))
        before, started = cpu.seconds_by_part(ground.home, ground.server.pid), time.perf_counter()
        for pid in suspended:
            os.kill(pid, signal.SIGCONT)
        ground.wait_until_drained()
        rate = payments / (time.perf_counter() - started)
        return Drained(rate, cpu.seconds_by_part(ground.home, ground.server.pid) - before)
