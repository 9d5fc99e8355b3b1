"""Outward work on every broker that can be reached, side by side."""

import os
import socket
from urllib.parse import urlsplit

from payflow.runtime.bench import chain
from payflow.runtime.bench.ground import Ground, say
from payflow.runtime.bench.outward import messages_per_second

_MESSAGES = int(os.environ.get("BENCH_MESSAGES", "2000"))
_URLS = {
    "Redis": os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/5"),
    "RabbitMQ": os.environ.get("BENCH_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}


def measure(ground: Ground) -> None:
    """E-mails per second with two workers, by broker; pgmq, the embedded default, is 1.00."""
    chain.drain(ground, 1)  # writes the message that is copied
    rates = {
        name: messages_per_second(
            url, database_url=ground.server.app_url, folder=ground.home, messages=_MESSAGES
        )
        for name, url in {"pgmq": ground.server.broker_url, **_URLS}.items()
        if _is_reachable(url)
    }
    for name, rate in rates.items():
        say(f"(e) e-mails on {name}", f"{rate:8.0f} messages/s", f"{rate / rates['pgmq']:.2f}")
    for name in _URLS.keys() - rates.keys():
        say(f"(e) e-mails on {name}", "not reachable here")


def _is_reachable(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()
    except OSError:
        return False
    return True
