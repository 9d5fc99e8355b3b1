"""
The connection through which events leave for other systems.

A topic exchange of any broker that kombu speaks to, and a queue for what the broker refuses.

# Note [Trouble or refusal]

A broker that cannot be reached, hangs, blocks its publishers, is full or may only be read is in
*trouble*: nobody's failure, everything waits for it. A broker that answers and does not take this
one message (a negative confirm, no right to write, too large, no such exchange) *refuses* it: that
event's failure alone. That nobody has bound a queue to an event's type is neither. A topic without
subscribers is the normal state of most types, so such an event counts as sent.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import kombu
import structlog

from shared.event_bus import _connecting
from shared.event_bus._connecting import (
    AMQP,
    PATIENCE_SECONDS,
    Address,
    BrokerTrouble,
    NotTaken,
)
from shared.events.base import DomainEvent

log = structlog.get_logger(__name__)

_REASON_LENGTH = 500
_NOT_NOW = frozenset({"OutOfMemoryError", "ReadOnlyError", "ClusterDownError", "MasterDownError"})
"""What Redis calls refusals and are states of the whole server."""


class Outlet:
    """One connection to the broker, for one thread; each word of it raises `BrokerTrouble`."""

    def __init__(self, address: Address) -> None:
        """Say where to; nothing is connected yet."""
        self._address = address
        self._connection: Any = None
        self._channel: Any = None
        self._undelivered: list[Any] = []
        # AMQP numbers the messages of a channel; these it has not spoken about yet.
        self._tag = 0
        self._unconfirmed: dict[int, str] = {}
        self._taken: Callable[[str], None] = _nobody_asks
        self._nacked: set[str] = set()

    def open(self) -> None:
        """
        Ask the broker for a channel, which proves that it is there and answers.

        Whatever fails here, a wrong password or a missing right included, concerns no event in
        particular, so all of it is trouble. That an old connection broke unnoticed is none.
        """
        was_connected = self._connection is not None
        try:
            self._hang_up_channel()
            self._open_channel()
        except Exception as error:
            self._drop()
            if not was_connected:
                raise BrokerTrouble(_said(error)) from error
            self.open()

    def send(self, event: DomainEvent) -> None:
        """Send an event to the topic of its type, and return once the broker has it."""
        self._publish(event, {}, exchange=self._address.exchange, routing_key=event.event_type)

    def send_together(self, events: Sequence[DomainEvent], taken: Callable[[str], None]) -> None:
        """
        Send events without waiting between them; `taken` gets the id of each that the broker has.

        What it does not get was refused, or was behind one that was: sent alone, it will turn out.
        """
        if self._channel is None:
            self.open()
        producer = kombu.Producer(self._channel, auto_declare=False)
        if self._address.scheme not in AMQP and not producer.supports_batch_publish:
            return
        try:
            with self._trouble_told_apart():
                self._pipeline(producer, events, taken)
        except BrokerTrouble:
            raise
        except Exception as refusal:  # noqa: BLE001 - nobody knows yet whose it is
            log.info("a batch of events was not taken as a whole", reason=_said(refusal))
        finally:
            self._taken = _nobody_asks

    def bury(self, event: DomainEvent, reason: BaseException, *, failures: int) -> None:
        """Send an event to the dead-letter queue, with what the broker said when it refused it."""
        about = {
            "reason": _said(reason),
            "failures": failures,
            "exchange": self._address.exchange,
            "routingKey": event.event_type,
        }
        self._publish(event, about, exchange="", routing_key=self._address.dead_letters)

    def close(self) -> None:
        """Say goodbye; the next `open` makes a new connection."""
        self._give_up("release")

    def _publish(self, event: DomainEvent, about: dict[str, Any], **where: str) -> None:
        if self._channel is None:
            self.open()
        with self._trouble_told_apart():
            self._put(kombu.Producer(self._channel, auto_declare=False), event, about, **where)
            self._await_confirms()
            self._expect_taken(event)

    def _pipeline(
        self, producer: Any, events: Sequence[DomainEvent], taken: Callable[[str], None]
    ) -> None:
        self._taken = taken
        with producer.batch():
            for event in events:
                exchange = self._address.exchange
                self._put(producer, event, {}, exchange=exchange, routing_key=event.event_type)
        self._await_confirms()
        if self._address.scheme not in AMQP:
            for event in events:
                taken(event.event_id)

    def _put(self, producer: Any, event: DomainEvent, about: dict[str, Any], **where: str) -> None:
        self._tag += 1
        self._nacked.discard(event.event_id)
        if self._address.scheme in AMQP:
            self._unconfirmed[self._tag] = event.event_id
        producer.publish(
            json.dumps(event.envelope(), ensure_ascii=False, separators=(",", ":")),
            content_type="application/json",
            content_encoding="utf-8",
            headers=_headers(event) | about,
            delivery_mode="persistent",
            # A queue that was deleted would swallow dead letters; topics may be deaf.
            mandatory=not where["exchange"],
            message_id=event.event_id,
            correlation_id=event.correlation_id,
            type=f"{event.event_type}.v{event.version}",
            app_id="payflow",
            timeout=PATIENCE_SECONDS,
            **where,
        )

    def _await_confirms(self) -> None:
        until = time.monotonic() + 2 * PATIENCE_SECONDS
        while self._unconfirmed:
            if time.monotonic() > until:
                raise TimeoutError("confirms do not come")
            self._connection.drain_events(timeout=PATIENCE_SECONDS)

    def _acked(self, tag: int, multiple: bool) -> None:
        for event_id in self._spoken_about(tag, multiple=multiple):
            self._taken(event_id)

    def _refused(self, tag: int, multiple: bool) -> None:
        self._nacked.update(self._spoken_about(tag, multiple=multiple))

    def _spoken_about(self, tag: int, *, multiple: bool) -> list[str]:
        tags = [known for known in self._unconfirmed if known == tag or (multiple and known < tag)]
        return [self._unconfirmed.pop(known) for known in tags]

    def _open_channel(self) -> None:
        if self._connection is None:
            self._connection = _connecting.connect(self._address, self._undelivered.append)
        self._channel = _connecting.channel(self._address, self._connection)
        self._tag, self._unconfirmed, self._nacked = 0, {}, set()
        if self._address.scheme in AMQP:
            self._channel.events["basic_ack"].add(self._acked)
            self._channel.events["basic_nack"].add(self._refused)
            self._channel.confirm_select()

    @contextmanager
    def _trouble_told_apart(self) -> Iterator[None]:
        """Any error ends the channel; one that is trouble ends the connection, too."""
        try:
            yield
        except Exception as error:
            if self._is_trouble(error):
                self._drop()
                raise BrokerTrouble(_said(error)) from error
            self._hang_up_channel()
            raise

    def _is_trouble(self, error: Exception) -> bool:
        if self._connection is None or type(error).__name__ in _NOT_NOW:
            return True
        return isinstance(error, (BrokerTrouble, *self._connection.connection_errors))

    def _drop(self) -> None:
        # A broker in trouble may not answer a goodbye; only AMQP waits for one.
        self._give_up("collect" if self._address.scheme in AMQP else "release")

    def _give_up(self, how: str) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                getattr(connection, how)()

    def _hang_up_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and self._connection is not None:
            self._connection.maybe_close_channel(channel)

    def _expect_taken(self, event: DomainEvent) -> None:
        if event.event_id in self._nacked:
            raise NotTaken("negative confirm")
        if self._undelivered:
            errors, self._undelivered[:] = list(self._undelivered), []
            raise (BrokerTrouble if errors[-1].retriable() else NotTaken)(str(errors[-1]))


def _headers(event: DomainEvent) -> dict[str, Any]:
    return {
        "eventId": event.event_id,
        "type": f"{event.event_type}.v{event.version}",
        "correlationId": event.correlation_id,
    }


def _nobody_asks(event_id: str) -> None:
    pass


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON_LENGTH]
