"""Where events leave to: which brokers are spoken to, and what each needs to lose nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import kombu

PATIENCE_SECONDS = 4
"""The longest that one exchange of words with the broker may take."""
AMQP, REDIS, KAFKA = ("amqp", "amqps"), ("redis", "rediss"), ("confluentkafka",)
_NOT_FOUND = 404


class BrokerTrouble(Exception):
    """The broker takes nothing now: nobody's failure (Note [Trouble or refusal] in `_outlet`)."""


class NotTaken(Exception):
    """The broker answered that it did not keep the message."""


@dataclass(frozen=True)
class Address:
    """Where events go: a broker, its exchange for them, and its queue for what is refused."""

    url: str = field(repr=False)
    exchange: str
    dead_letters: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        """What kind of broker it is."""
        return self.url.partition("://")[0]


def unconnected(address: Address, undelivered: Callable[[Any], object] = id) -> Any:
    """A connection that is none yet; raises whatever kombu stumbles over in the address."""
    return kombu.Connection(
        address.url,
        connect_timeout=PATIENCE_SECONDS,
        transport_options=_transport_options(address, undelivered),
    )


def connect(address: Address, undelivered: Callable[[Any], object]) -> Any:
    """Connect, trying each host once; `undelivered` gets what Kafka says of messages it lost."""
    connection = unconnected(address, undelivered)
    connection.ensure_connection(
        max_retries=max(1, len(connection.alt)),
        interval_start=0,
        timeout=PATIENCE_SECONDS,
        reraise_as_library_errors=False,
    )
    if address.scheme in AMQP:
        # Else an answer that never comes, such as to opening a channel, blocks for ever.
        connection.connection.sock.settimeout(PATIENCE_SECONDS)
    return connection


def channel(address: Address, connection: Any) -> Any:
    """Open a channel on which the exchange and the dead-letter queue are there."""
    opened = connection.channel()
    exchange = kombu.Exchange(address.exchange, "topic", durable=True)
    dead_letters = kombu.Queue(
        address.dead_letters, durable=True, queue_arguments={"x-queue-type": "quorum"}
    )
    if address.scheme in AMQP:
        opened = _declared_if_missing(connection, opened, exchange)
        return _declared_if_missing(connection, opened, dead_letters)
    exchange(opened).declare()
    if address.scheme in KAFKA:
        # Kafka has topics and no exchanges: this one topic has everything.
        kombu.Queue(address.exchange, exchange, "#")(opened).declare()
        dead_letters(opened).declare()
        _expect_one_partition(opened, address.exchange)
    return opened


def _declared_if_missing(connection: Any, opened: Any, entity: Any) -> Any:
    # Asked first, since creating takes a right that a careful operator does not give away, and
    # since what is there may be of another make.
    ask = (
        entity(opened).queue_declare if isinstance(entity, kombu.Queue) else entity(opened).declare
    )
    try:
        ask(passive=True)
    except connection.channel_errors as error:
        if error.reply_code != _NOT_FOUND:
            raise
        opened = connection.channel()
        entity(opened).declare()
    return opened


def _expect_one_partition(opened: Any, topic: str) -> None:
    # kombu sends without a key, so that several partitions would take a story's events in turn.
    topics = opened.client.list_topics(timeout=PATIENCE_SECONDS).topics
    if topic not in topics:
        raise BrokerTrouble(f"there is no Kafka topic {topic} yet")
    partitions = len(topics[topic].partitions)
    if partitions != 1:
        raise BrokerTrouble(f"the topic has {partitions} partitions: only one keeps order")


def _transport_options(address: Address, undelivered: Callable[[Any], object]) -> dict[str, Any]:
    """What the transport needs so that a message that is lost is a message that raises."""
    if address.scheme in AMQP:
        return address.options
    if address.scheme in REDIS:
        return {
            "socket_timeout": PATIENCE_SECONDS,
            "socket_connect_timeout": PATIENCE_SECONDS,
        } | address.options
    producer = {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": PATIENCE_SECONDS * 1000,
    } | address.options.get("kafka_producer_config", {})
    # kombu asks for no report of its own, and its `flush` is silent about what was not kept.
    producer["on_delivery"] = lambda error, message: error and undelivered(error)
    return address.options | {
        "wait_time_seconds": PATIENCE_SECONDS,
        "kafka_producer_config": producer,
    }
