"""The three brokers for tests: which are here, and ways to be unkind to them."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import Celery

from payflow import brokers, pgmq_transport
from payflow.tests.processes import queue_of

BROKERS = {
    "pgmq": "",
    "redis": "redis://127.0.0.1:6379/7",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
}


def url_of(broker: str) -> str:
    """The broker's address; skips the test when it is not running and not required either."""
    url = BROKERS[broker] or os.environ["PAYFLOW_TEST_BROKER_URL"]
    if not _is_reachable(url):
        assert not os.environ.get("PAYFLOW_REQUIRE_SERVICES"), f"{broker} is required"
        pytest.skip(f"{broker} is not running here")
    return url


def port_of(url: str) -> int:
    """The port in the address."""
    port = urlsplit(url).port
    assert port is not None
    return port


def through(url: str, port: int) -> str:
    """The same address through another port of this machine, such as a proxy's."""
    return url.replace(f":{port_of(url)}", f":{port}", 1)


class Bells:
    """Rings for the workers of one folder, as often as one likes, and takes rings away."""

    def __init__(self, url: str, folder: Path) -> None:
        pgmq_transport.register()
        self.names = [queue_of(folder), f"{queue_of(folder)}_clock"]
        self._app = Celery("bells", broker=url, set_as_current=False)
        self._app.conf.update(
            task_queues=[brokers.queue(name, exchange=self.names[0]) for name in self.names],
            task_default_queue=self.names[0],
            broker_transport_options=brokers.options(url),
        )

    def ring(self, task: str, *arguments: str, times: int = 1) -> None:
        """Send a task so many times."""
        queue = self.names["intents" not in task]
        with self._app.connection_for_write() as connection:
            for _ in range(times):
                self._app.send_task(task, args=arguments, queue=queue, connection=connection)

    def waiting(self) -> int:
        """How many messages wait in the bells' queue."""
        with self._app.connection_for_write() as connection:
            queue = self._app.amqp.queues[self.names[0]](connection.default_channel)
            return int(queue.queue_declare().message_count)

    def purge(self) -> None:
        """Lose whatever waits."""
        with self._app.connection_for_write() as connection:
            for name in self.names:
                queue = self._app.amqp.queues[name](connection.default_channel)
                queue.declare()
                queue.purge()

    def remove(self) -> None:
        """Delete the queues, also the worker's own."""
        with self._app.connection_for_write() as connection:
            for name in [*self.names, f"{self.names[0]}_ping_1", f"{self.names[0]}_ping_2"]:
                queue = brokers.queue(name, exchange=self.names[0])(connection.default_channel)
                queue.declare()
                queue.delete()


def _is_reachable(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=2).close()
    except OSError:
        return False
    return True
