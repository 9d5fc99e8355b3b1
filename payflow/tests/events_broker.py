"""Real brokers for events that leave: names of a test's own, a line to cut, a host that hangs."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue
from kombu.message import Message
from redis import Redis

URLS = {
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672//",
    "redis": "redis://127.0.0.1:6379/7",
}


class Topic:
    """An exchange, its queues and a dead-letter queue that no other test knows."""

    def __init__(self, kind: str) -> None:
        """Choose the names; nothing is created."""
        self.kind, self.url = kind, URLS[kind]
        self.exchange = f"test-events-{uuid4().hex[:12]}"
        self.dlq = f"{self.exchange}-dlq"
        self._queues: list[str] = [self.dlq]

    def settings(self, *, url: str = "", types: str = "Operator.*") -> dict[str, Any]:
        """What switches it on in this process."""
        return {
            "EVENTS_URL": url or self.url,
            "EVENTS_TYPES": types.split(","),
            "EVENTS_EXCHANGE": self.exchange,
            "EVENTS_DLQ": self.dlq,
        }

    def environment(self, *, url: str = "", types: str = "Operator.*") -> dict[str, str]:
        """What switches it on in another process."""
        return {
            "PAYFLOW_EVENTS_URL": url or self.url,
            "PAYFLOW_EVENTS_TYPES": types,
            "PAYFLOW_EVENTS_EXCHANGE": self.exchange,
            "PAYFLOW_EVENTS_DLQ": self.dlq,
        }

    def bind(self, pattern: str = "#", name: str = "", **arguments: Any) -> str:
        """Subscribe a queue to the topic, as another system would."""
        name = f"{self.exchange}-{name or 'all'}"
        exchange = Exchange(self.exchange, "topic", durable=True)
        queue = Queue(name, exchange, pattern, durable=True, queue_arguments=arguments)
        with self._channel() as channel:
            queue(channel).declare()
        self._queues.append(name)
        return name

    def declare(self, name: str, **arguments: Any) -> None:
        """Create a queue that is bound to nothing."""
        with self._channel() as channel:
            Queue(name, durable=True, queue_arguments=arguments)(channel).declare()

    def size(self, name: str) -> int:
        """How many messages wait in a queue; 0 if there is none."""
        with self._channel() as channel, suppress(channel.connection.client.channel_errors):
            declared = channel.queue_declare(queue=name, passive=True)
            return int(declared.message_count)
        return 0

    def taken(self, name: str) -> list[Message]:
        """Take everything out of a queue."""
        found = []
        with self._channel() as channel:
            while (message := Queue(name)(channel).get(no_ack=True)) is not None:
                found.append(message)
        return found

    def delete(self) -> None:
        """Take everything away again."""
        for name in self._queues:
            with self._channel() as channel, suppress(Exception):
                channel.queue_delete(name)
                channel.queue_purge(name)
        with self._channel() as channel, suppress(Exception):
            channel.exchange_delete(self.exchange)
        if self.kind == "redis":
            with Redis.from_url(self.url) as redis:
                for key in redis.scan_iter(f"*{self.exchange}*"):
                    redis.delete(key)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with Connection(self.url, connect_timeout=4) as connection:
            with closing(connection.channel()) as channel:
                # Else a virtual transport would not know where its queues are bound.
                Exchange(self.exchange, "topic", durable=True)(channel).declare()
                yield channel


def topic_or_skip(kind: str) -> Topic:
    """A topic on a real broker; without one the test is skipped, or fails where it is required."""
    address = urlsplit(URLS[kind])
    try:
        socket.create_connection((address.hostname, address.port), timeout=2).close()
    except OSError:
        assert not os.environ.get("PAYFLOW_REQUIRE_SERVICES"), f"{kind} is required"
        pytest.skip(f"{kind} is not running here")
    return Topic(kind)


class Line:
    """A TCP line to a broker that can be cut, made deaf after some words, or hold them back."""

    def __init__(self, url: str) -> None:
        """Listen on a free port of this machine."""
        self._far = urlsplit(url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._is_up = threading.Event()
        self._is_up.set()
        self._deaf_after: bytes | None = None
        self._hold_before: bytes | None = None
        self.holds = threading.Event()
        self._released = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self) -> str:
        """The broker's address over this line."""
        host = f"127.0.0.1:{self._server.getsockname()[1]}"
        login = f"{self._far.username}:{self._far.password}@" if self._far.username else ""
        return self._far._replace(netloc=login + host).geturl()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._is_up.clear()
        self._hang_up()

    def mend(self) -> None:
        """Let everything through again."""
        self._deaf_after = self._hold_before = None
        self._released.set()
        self._is_up.set()

    def lose_answers_after(self, words: bytes) -> None:
        """Once these words have gone to the broker, let none of its answers back."""
        self._deaf_after = words

    def hold_before(self, words: bytes) -> None:
        """Once these words come along, keep them from the broker until `mend`."""
        self._hold_before = words

    def close(self) -> None:
        """End it."""
        self.mend()
        self._server.close()
        self._hang_up()

    def _hang_up(self) -> None:
        while self._pairs:
            for end in self._pairs.pop():
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self._is_up.is_set():
                    near.close()
                    continue
                far = socket.create_connection((self._far.hostname, self._far.port), timeout=5)
                far.settimeout(None)
                self._pairs.append((near, far))
                is_deaf = threading.Event()
                for source, sink, is_answer in ((near, far, False), (far, near, True)):
                    arguments = (source, sink, is_answer, is_deaf)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, is_answer: bool, is_deaf: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not is_answer and self._deaf_after and self._deaf_after in data:
                    is_deaf.set()
                if not is_answer and self._hold_before and self._hold_before in data:
                    self.holds.set()
                    self._released.wait(timeout=60)
                if not (is_answer and is_deaf.is_set()):
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


class Hanging:
    """A host that takes every connection and never says a word."""

    def __init__(self) -> None:
        """Listen on a free port of this machine."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.calls: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, scheme: str) -> str:
        """Its address as a broker's."""
        return f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}//"

    def close(self) -> None:
        """End it."""
        self._server.close()
        for call in self.calls:
            call.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.calls.append(self._server.accept()[0])
