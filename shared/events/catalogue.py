"""Every contract by type and version: how a stored event becomes an object again."""

from collections.abc import Iterator

from shared.events import fraud, ledger, merchants, notifications, operators, payments
from shared.events.base import DomainEvent

PUBLISHERS = (merchants, payments, fraud, ledger, notifications, operators)


class UnknownEventType(LookupError):
    """No contract in the catalogue has this type and version."""


def contracts() -> Iterator[type[DomainEvent]]:
    """Every event class that can be published."""
    for module in PUBLISHERS:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, DomainEvent) and _is_contract(value):
                yield value


def contract(event_type: str, version: int) -> type[DomainEvent]:
    """The class of a stored event. Raises: UnknownEventType."""
    try:
        return _BY_TYPE[event_type, version]
    except KeyError:
        raise UnknownEventType(f"{event_type}.v{version} is not in the catalogue") from None


def _is_contract(event: type[DomainEvent]) -> bool:
    return "event_type" in vars(event)


_BY_TYPE = {(event.event_type, event.version): event for event in contracts()}
