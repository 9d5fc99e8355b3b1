"""
What Celery is told about each broker; the reasons stand in docs/adr/0016-brokers.md.

Messages carry no truth, so everything here is chosen for brevity of waits: nothing that sends may
hang, nothing that listens may wait on a connection that is dead, and no queue grows.
"""

import socket
from typing import Any

from kombu import Exchange, Queue

CONNECT_SECONDS = 4
LONGEST_QUEUE = 100
"""Messages say "look at your rows": the hundred-and-first says nothing new."""

_DAY_MS = 24 * 3600 * 1000
_RABBITMQ_QUEUE = {
    "x-queue-type": "classic",
    "x-max-length": LONGEST_QUEUE,
    "x-overflow": "drop-head",
    "x-message-ttl": 60_000,
    # A queue that nobody has listened to for a week is not coming back.
    "x-expires": 7 * _DAY_MS,
}
_SOCKET = {
    name: value
    for option, value in (
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 10_000),
    )
    if (name := getattr(socket, option, None)) is not None
}
"""Not every system has every option."""

# How often a sender tries to connect before it gives up; the worker's consumer never does.
_BOUNDED = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}


def queue(name: str, *, exchange: str) -> Queue:
    """A queue of doorbell messages; only RabbitMQ reads the arguments."""
    return Queue(
        name,
        Exchange(exchange, type="direct", delivery_mode="transient"),
        routing_key=name,
        durable=True,
        queue_arguments=_RABBITMQ_QUEUE,
    )


def options(url: str) -> dict[str, Any]:
    """What kombu is told about the broker at this URL."""
    if url.startswith("amqp"):
        return _BOUNDED | _rabbitmq()
    if url.startswith("redis"):
        return _BOUNDED | _redis()
    if url.startswith("pgmq"):
        return _BOUNDED | _pgmq(url)
    return {}


def _rabbitmq() -> dict[str, Any]:
    return {
        "confirm_publish": True,
        # Of the socket: an answer to a question; what is only listened for is not read before it
        # has come.
        "read_timeout": 10,
        "write_timeout": 10,
        "socket_settings": _SOCKET,
    }


def _redis() -> dict[str, Any]:
    return {
        "visibility_timeout": 300,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": False,
    }


def _pgmq(url: str) -> dict[str, Any]:
    limits = (
        f"connect_timeout={CONNECT_SECONDS}&keepalives_idle=5&keepalives_interval=2"
        "&keepalives_count=3&tcp_user_timeout=10000&application_name=payflow%20broker"
    )
    address = url.replace("pgmq://", "postgresql://", 1)
    return {
        # Said outright: pgmq would take `DATABASE_URL` from the environment before kombu's address.
        "conn_string": f"{address}{'&' if '?' in address else '?'}{limits}",
        "init_extension": False,
        "use_notify": True,
        "wait_time_seconds": 0,
        "visibility_timeout": 300,
        "pool_size": 4,
        "pool_timeout": CONNECT_SECONDS,
    }
