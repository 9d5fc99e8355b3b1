"""Outward work: how fast real Celery workers send what is due, by broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from celery import Celery
from kombu import Connection

from payflow import brokers, pgmq_transport
from payflow.runtime.home import PROJECT
from payflow.runtime.processes import wait_until

_PATIENCE_SECONDS = 300
_READY = " ready."
_WAITING = "SELECT count(*) FROM notifications.message WHERE due_at IS NOT NULL"
_MAKE_DUE = """
INSERT INTO notifications.message ({columns})
SELECT {values} FROM notifications.message AS one, generate_series(1, %s)
WHERE one.id = (SELECT id FROM notifications.message LIMIT 1)
"""
_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'notifications' AND table_name = 'message' AND is_generated = 'NEVER'
AND is_identity = 'NO'
"""
"""What is made anew in a copy of a message; everything else is copied."""
_FRESH = {
    "id": "gen_random_uuid()",
    "correlation_id": "gen_random_uuid()",
    "event_id": "gen_random_uuid()",
    "due_at": "now()",
    "created_at": "now()",
    "sent_at": "NULL",
    "parked_at": "NULL",
    "attempts": "0",
    "ended": "0",
    "failures": "0",
}


def messages_per_second(
    broker_url: str,
    *,
    database_url: str,
    folder: Path,
    messages: int = 2000,
    workers: int = 2,
    environment: Mapping[str, str] | None = None,
) -> float:
    """
    Copy one message of this database until so many are due, and time real workers sending them.

    The database must hold at least one message, and nobody else may be sending. The clock runs from
    one ring, sent when the workers are ready, to the last row; e-mails are files below `folder`.
    """
    pgmq_transport.register()
    queue = f"bench_{uuid4().hex[:8]}"
    ours = {
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": broker_url,
        "PAYFLOW_CELERY_QUEUE": queue,
        "PAYFLOW_EMAIL_DIRECTORY": str(folder / f"mail-{queue}"),
        "PAYFLOW_LOG_LEVEL": "INFO",
    }
    variables = dict(environment if environment is not None else os.environ) | ours
    with psycopg.connect(database_url, autocommit=True) as line, ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(_worker(variables, folder / f"{queue}-{number}.log", number))
        _make_due(line, messages)
        started = time.perf_counter()
        _ring(broker_url, queue)
        _wait(line)
        rate = messages / (time.perf_counter() - started)
    _remove(broker_url, queue, workers)
    return rate


def _make_due(line: psycopg.Connection[tuple[object, ...]], count: int) -> None:
    names = [str(name) for (name,) in line.execute(_COLUMNS).fetchall()]
    values = [_FRESH.get(name, f'one."{name}"') for name in names]
    columns = ", ".join(f'"{name}"' for name in names)
    statement = _MAKE_DUE.format(columns=columns, values=", ".join(values))
    line.execute(statement.encode(), [count])


def _ring(broker_url: str, queue: str) -> None:
    app = Celery("bench", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[brokers.queue(queue, exchange=queue)],
        broker_transport_options=brokers.options(broker_url),
    )
    with app.connection_for_write() as connection:
        task = ("shared.run_intents", ["notifications.message"])
        app.send_task(*task, queue=queue, connection=connection)


def _remove(broker_url: str, queue: str, workers: int) -> None:
    own = [f"{queue}_ping_{number}" for number in range(1, workers + 1)]
    with Connection(broker_url, transport_options=brokers.options(broker_url)) as connection:
        for name in (queue, f"{queue}_clock", *own):
            bound = brokers.queue(name, exchange=queue)(connection.default_channel)
            bound.declare()
            bound.delete()


def _wait(line: psycopg.Connection[tuple[object, ...]]) -> None:
    def is_over() -> bool:
        return line.execute(_WAITING).fetchone() == (0,)

    if not wait_until(is_over, _PATIENCE_SECONDS, every_seconds=0.02):
        raise RuntimeError("The workers did not send everything in time.")


@contextmanager
def _worker(variables: dict[str, str], log: Path, number: int) -> Iterator[None]:
    options = ["--pool=threads", "--concurrency=2", f"--hostname=bench-{number}@%h"]
    command = [sys.executable, "-m", "celery", "-A", "payflow.celery", "worker", *options]
    with log.open("w+b") as output:
        process = subprocess.Popen(
            [*command, "--loglevel=INFO", "--without-gossip", "--without-mingle"],
            cwd=PROJECT,
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, log)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    def is_over() -> bool:
        return process.poll() is not None or _READY in log.read_text(errors="replace")

    if not wait_until(is_over, _PATIENCE_SECONDS) or process.poll() is not None:
        raise RuntimeError(log.read_text(errors="replace")[-2000:])
