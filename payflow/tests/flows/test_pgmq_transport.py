"""Many processes declare one PostgreSQL queue at the same moment, as every start does."""

import os
import threading
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from kombu import Connection
from kombu.transport import pgmq

from payflow import brokers
from payflow.pgmq_transport import Transport

pytestmark = [
    # One after the other: the naive one makes the deadlocks that the other counts.
    pytest.mark.xdist_group("pgmq transport"),
    # kombu silences it by changing the filters of the whole process, in each thread by itself.
    pytest.mark.filterwarnings(r"ignore:list_queues\(\) now returns:UserWarning"),
]

THREADS = 8
ROUNDS = 6
PATIENCE_ROUNDS = 30


@pytest.fixture
def name() -> Iterator[str]:
    name = f"test_{uuid4().hex[:8]}"
    yield name
    with psycopg.connect(postgres_url(), autocommit=True) as line:
        for (queue,) in line.execute("SELECT queue_name FROM pgmq.list_queues()").fetchall():
            if queue.startswith(name):
                line.execute("SELECT pgmq.drop_queue(%s)", [queue])


class TestDeclaring:
    def test_a_queue_at_the_same_moment_as_others_is_safe(self, name: str) -> None:
        deadlocks_before = deadlocks()
        for number in range(ROUNDS):
            assert troubles(Transport, f"{name}_{number}") == []
        assert deadlocks() == deadlocks_before

    def test_was_not_with_the_transport_as_it_comes(self, name: str) -> None:
        rounds = (troubles(pgmq.Transport, f"{name}_{n}") for n in range(PATIENCE_ROUNDS))
        assert any(rounds)


def troubles(transport: type[pgmq.Transport], name: str) -> list[Exception]:
    """What goes wrong when many declare, listen and send at once."""
    found: list[Exception] = []
    arguments = (transport, name, threading.Barrier(THREADS), found)
    threads = [threading.Thread(target=start_up, args=arguments) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def start_up(
    transport: type[pgmq.Transport],
    name: str,
    barrier: threading.Barrier,
    found: list[Exception],
) -> None:
    url = os.environ["PAYFLOW_TEST_BROKER_URL"]
    options = brokers.options(url) | {"pool_size": 1}
    try:
        with Connection(url, transport=transport, transport_options=options) as connection:
            queue = brokers.queue(name, exchange=name)(connection.default_channel)
            barrier.wait()
            queue.declare()
            producer = connection.Producer()
            for _ in range(5):
                producer.publish({}, routing_key=name)
            queue.consume(callback=print)
    except Exception as error:
        found.append(error)
        barrier.abort()  # or the others would wait for whoever did not get so far


def deadlocks() -> int:
    with psycopg.connect(postgres_url(), autocommit=True) as line:
        row = line.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        return int(row[0])


def postgres_url() -> str:
    return os.environ["PAYFLOW_TEST_BROKER_URL"].replace("pgmq://", "postgresql://", 1)
