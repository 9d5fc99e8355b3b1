"""
Events for other systems: chosen types also go to a broker's topic.

At least once, in order per story, and only if `PAYFLOW_EVENTS_URL` is set;
`docs/externalisation.md` has the promises.

Switched on, the bus has one listener more, an outward one. Publications are written, ordered,
counted, parked and steered as for any other; only its run differs: a thread of the dispatcher sends
them outside any transaction (`_relay`). No broker is waited for by anything else.
"""

import json
from collections.abc import Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from shared.event_bus import _connecting, _registry
from shared.event_bus._connecting import Address, BrokerTrouble
from shared.event_bus._outlet import Outlet
from shared.event_bus._registry import AlreadyRegistered, Listener
from shared.event_bus._relay import Relay
from shared.events import catalogue
from shared.events.base import DomainEvent

log = structlog.get_logger(__name__)

LISTENER_ID = "shared.externalise"
_PACKAGES = {
    **dict.fromkeys(_connecting.AMQP, ("amqp", "")),
    **dict.fromkeys(_connecting.REDIS, ("redis", "redis")),
    **dict.fromkeys(_connecting.KAFKA, ("confluent_kafka", "kafka")),
}
"""Per kind of broker: the package it needs, and the extra of ours that brings it."""


class SentByTheRelay(Exception):
    """
    An outward listener was run as if it had an effect here.

    Its events are sent by the dispatcher, outside any transaction.
    """


def register() -> None:
    """
    Register the outward listener if it is switched on; called once, while Django starts.

    Raises:
        ImproperlyConfigured: a setting cannot be meant; says which.

    """
    if not settings.EVENTS_URL:
        return
    _expect_usable(_configured())
    if LISTENER_ID in _registry.listeners:
        raise AlreadyRegistered(LISTENER_ID)
    entry = Listener(LISTENER_ID, _chosen(settings.EVENTS_TYPES), _never_run, outward=True)
    _registry.listeners[LISTENER_ID] = entry
    _registry.ids_listening_to.cache_clear()


def relays() -> dict[str, Relay]:
    """What a dispatcher runs in threads of their own, by listener id: none unless switched on."""
    return {
        entry.id: Relay(entry, Outlet(_configured()))
        for entry in _registry.listeners.values()
        if entry.outward
    }


def send_due() -> int:
    """Send what is due, inline; returns how many were claimed, 0 if the broker is in trouble."""
    total = 0
    for relay in relays().values():
        with closing(relay):
            try:
                total += relay.send_due()
            except BrokerTrouble as trouble:
                log.warning("events wait for their broker", reason=str(trouble))
    return total


def _configured() -> Address:
    return Address(
        url=settings.EVENTS_URL,
        exchange=settings.EVENTS_EXCHANGE,
        dead_letters=settings.EVENTS_DLQ,
        options=_options(settings.EVENTS_OPTIONS),
    )


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text or "{}")
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ImproperlyConfigured("PAYFLOW_EVENTS_OPTIONS must be a JSON object.")
    return options


def _expect_usable(address: Address) -> None:
    # None of these messages may show the URL: it has a password in it.
    if address.scheme not in _PACKAGES:
        known = ", ".join(f"{scheme}://" for scheme in _PACKAGES)
        raise ImproperlyConfigured(f"PAYFLOW_EVENTS_URL must begin with one of {known}.")
    package, extra = _PACKAGES[address.scheme]
    if find_spec(package) is None:
        raise ImproperlyConfigured(
            f"PAYFLOW_EVENTS_URL begins with {address.scheme}://, which needs the package"
            f" {package.replace('_', '-')}: pip install 'payflow[{extra}]'."
        )
    try:
        _connecting.unconnected(address).info()
    except Exception:  # noqa: BLE001 - kombu's parser raises whatever it stumbles over
        raise ImproperlyConfigured("PAYFLOW_EVENTS_URL cannot be read as a URL.") from None


def _chosen(patterns: Sequence[str]) -> tuple[type[DomainEvent], ...]:
    contracts = list(catalogue.contracts())
    for pattern in patterns:
        if not any(fnmatchcase(event.event_type, pattern) for event in contracts):
            raise ImproperlyConfigured(f"PAYFLOW_EVENTS_TYPES: no event is called {pattern!r}.")
    return tuple(
        event
        for event in contracts
        if any(fnmatchcase(event.event_type, pattern) for pattern in patterns)
    )


def _never_run(events: Sequence[DomainEvent]) -> None:
    raise SentByTheRelay
