"""`python -m payflow.runtime.bench`, what `make bench` runs."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg

from payflow.runtime.bench import cpu, floor, load
from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.merchant import Merchant
from payflow.runtime.postgres_binaries import find_binaries
from payflow.runtime.scratch import platform, scratch_home

_PAYMENTS = int(os.environ.get("BENCH_PAYMENTS", "2000"))
_FLOOR_SECONDS = int(os.environ.get("BENCH_FLOOR_SECONDS", "5"))
_CONNECTIONS = 16
_FLOOR_DATABASE = "payflow_floor"

_OUTSTANDING = """
SELECT (SELECT count(*) FROM shared.publication)
     + (SELECT count(*) FROM payments.operation WHERE due_at IS NOT NULL)
     + (SELECT count(*) FROM notifications.message WHERE due_at IS NOT NULL)
"""


@dataclass
class Figures:
    """What was measured, in payments per second and milliseconds."""

    floor: dict[int, float]
    over_http: float
    drain: float
    busy: load.Measured
    relaxed: load.Measured
    cpu_over_http: Counter[str]
    cpu_of_drain: Counter[str]


def main() -> None:
    """Measure, and print a table with the ratios."""
    with scratch_home("bench") as home, EmbeddedPostgres(home / "server") as server:
        _say(_measure(home, server))


def _measure(home: Path, server: EmbeddedPostgres) -> Figures:
    _migrate(server.app_url, server.owner_url)
    floors = _floor(home, server)
    with platform(home, **_urls(server)) as running:
        port = running.port
        merchant = Merchant.register(running.api, name="Acme", email="acme@example.com")
        merchant_id, api_key = merchant.merchant_id, merchant.api_key
        _warm_up(merchant_id, api_key, port, server)
        requests = load.signed_payments(merchant_id, api_key, _PAYMENTS, tag="busy")
        cpu_before = cpu.seconds_by_part(home, server.pid)
        started = time.perf_counter()
        busy = load.send(requests, port=port, connections=_CONNECTIONS)
        _wait_until_drained(server)
        over_http = _PAYMENTS / (time.perf_counter() - started)
        cpu_over_http = cpu.seconds_by_part(home, server.pid) - cpu_before
        half = load.signed_payments(merchant_id, api_key, _PAYMENTS // 2, tag="relaxed")
        relaxed = load.send(half, port=port, connections=_CONNECTIONS, per_second=over_http / 2)
        _wait_until_drained(server)
    drain, cpu_of_drain = _drain(home, server)
    for clients, rate in _floor(home, server).items():
        floors[clients] = max(rate, floors[clients])
    return Figures(floors, over_http, drain, busy, relaxed, cpu_over_http, cpu_of_drain)


def _floor(home: Path, server: EmbeddedPostgres) -> dict[int, float]:
    app_url = server.app_url.rpartition("/")[0] + f"/{_FLOOR_DATABASE}"
    owner_url = server.owner_url.rpartition("/")[0] + f"/{_FLOOR_DATABASE}"
    with psycopg.connect(server.owner_url, autocommit=True) as owner:
        owner.execute(f"DROP DATABASE IF EXISTS {_FLOOR_DATABASE}")
        owner.execute(f"CREATE DATABASE {_FLOOR_DATABASE}")
    _migrate(app_url, owner_url)
    with psycopg.connect(app_url, autocommit=True) as app:
        app.execute(floor.OPEN_ACCOUNTS)
    binaries, script = find_binaries(), home / "floor.sql"
    return {
        clients: floor.payments_per_second(
            binaries, app_url, script, clients=clients, seconds=_FLOOR_SECONDS
        )
        for clients in floor.CLIENTS
    }


def _urls(server: EmbeddedPostgres) -> dict[str, str]:
    return {
        "DATABASE_URL": server.app_url,
        "DATABASE_OWNER_URL": server.owner_url,
        "CELERY_BROKER_URL": server.broker_url,
        "PAYFLOW_LOG_LEVEL": "WARNING",
    }


def _migrate(app_url: str, owner_url: str) -> None:
    environment = os.environ | {
        "DATABASE_URL": app_url,
        "DATABASE_OWNER_URL": owner_url,
        "PAYFLOW_LOG_LEVEL": "WARNING",
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--database=owner", "-v0"],
        env=environment,
        check=True,
    )


def _warm_up(merchant_id: str, api_key: str, port: int, server: EmbeddedPostgres) -> None:
    requests = load.signed_payments(merchant_id, api_key, 200, tag="warm")
    load.send(requests, port=port, connections=_CONNECTIONS)
    _wait_until_drained(server)


def _drain(home: Path, server: EmbeddedPostgres) -> tuple[float, Counter[str]]:
    """Write a backlog while the dispatcher is stopped, let it go, and time it to the last event."""
    with platform(home, **_urls(server)):
        dispatcher = cpu.pid_of(home, "dispatcher")
        os.kill(dispatcher, signal.SIGSTOP)
        _write_backlog(server)
        cpu_before, started = cpu.seconds_by_part(home, server.pid), time.perf_counter()
        os.kill(dispatcher, signal.SIGCONT)
        _wait_until_drained(server)
        rate = _PAYMENTS / (time.perf_counter() - started)
        return rate, cpu.seconds_by_part(home, server.pid) - cpu_before


def _write_backlog(server: EmbeddedPostgres) -> None:
    environment = os.environ | {"DATABASE_URL": server.app_url, "PAYFLOW_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "payflow.runtime.bench.backlog", str(_PAYMENTS)]
    subprocess.run(command, env=environment, check=True)


def _wait_until_drained(server: EmbeddedPostgres) -> None:
    deadline = time.monotonic() + 300
    with psycopg.connect(server.app_url, autocommit=True) as app:
        while app.execute(_OUTSTANDING).fetchone() != (0,):
            if time.monotonic() > deadline:
                raise RuntimeError("The platform did not drain within five minutes.")
            time.sleep(0.02)


def _say(figures: Figures) -> None:
    best = max(figures.floor, key=lambda clients: figures.floor[clients])
    rate = figures.floor[best]
    for clients, floor_rate in figures.floor.items():
        _row(f"    floor, {clients:>2} clients", f"{floor_rate:8.0f} payments/s")
    _row("(a) floor, PostgreSQL alone", f"{rate:8.0f} payments/s", "1.00")
    for what, measured in (
        ("(b) HTTP to the last event", figures.over_http),
        (f"(c) drain of {_PAYMENTS}", figures.drain),
    ):
        _row(what, f"{measured:8.0f} payments/s", f"{measured / rate:.2f}")
    for name, load_measured in (("full", figures.busy), ("half", figures.relaxed)):
        _row(
            f"(d) POST /payments at {name} rate",
            f"p50 {load_measured.percentile_ms(0.50):.0f} ms,"
            f" p99 {load_measured.percentile_ms(0.99):.0f} ms {load_measured.statuses}",
        )
    for name, spent in (("(b)", figures.cpu_over_http), ("(c)", figures.cpu_of_drain)):
        parts = ", ".join(f"{p} {s / _PAYMENTS * 1000:.2f}" for p, s in spent.most_common())
        _row(
            f"    CPU ms per payment in {name}", f"{spent.total() / _PAYMENTS * 1000:.2f} = {parts}"
        )


def _row(what: str, figure: str, ratio: str = "") -> None:
    sys.stdout.write(f"{what:<34}{figure:<28}{ratio}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
