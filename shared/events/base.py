"""
What every event is: an immutable fact of primitives, with a type, a version and a story.

Outside the process an event is its envelope (see `envelope`): `type` always carries the version,
`eventType` never does, keys are camelCase, money is `amount` (decimal string) + `currency`.
"""

import re
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Self

from shared.identifiers import new_id
from shared.money import format_amount

Primitive = str | int | bool | tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class DomainEvent:
    """A fact that was committed; the base of every contract."""

    event_type: ClassVar[str]
    version: ClassVar[int] = 1

    event_id: str = field(default_factory=lambda: str(new_id()))
    correlation_id: str
    """One per story: a payment's events all carry the payment's."""
    subject_id: str
    """What the fact is about, an id of the publishing module."""
    merchant_id: str | None = None
    """The tenant it belongs to; none for facts about the platform."""
    occurred_at: str
    """ISO 8601, UTC, with `Z`. Tells when, not in which order."""

    def payload(self) -> dict[str, Primitive]:
        """The business fields as they appear outside: camelCase, money in major units."""
        currency = getattr(self, "currency", None)
        return {
            outside: format_amount(getattr(self, inside), currency)
            if is_money and currency and getattr(self, inside) is not None
            else _listed(getattr(self, inside))
            for inside, outside, is_money in outside_names(self.__class__)  # type: ignore[arg-type]
        }

    def envelope(self) -> dict[str, Any]:
        """The form in which the event leaves the process."""
        return {
            "eventId": self.event_id,
            "type": f"{self.event_type}.v{self.version}",
            "occurredAt": self.occurred_at,
            "correlationId": self.correlation_id,
            "payload": self.payload(),
        }

    def stored(self) -> dict[str, Primitive]:
        """The business fields as the registry stores them."""
        return {name: getattr(self, name) for name in business_fields(self.__class__)}  # type: ignore[arg-type]

    @classmethod
    def restored(cls, stored: dict[str, Any], **base: Any) -> Self:
        """The event that `stored` and its base fields came from."""
        business: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        return cls(**base, **business)


BASE_FIELDS = frozenset(f.name for f in fields(DomainEvent))


@cache
def business_fields(event: type[DomainEvent]) -> tuple[str, ...]:
    """The names of an event's own fields, in order."""
    return tuple(f.name for f in fields(event) if f.name not in BASE_FIELDS)


@cache
def outside_names(event: type[DomainEvent]) -> tuple[tuple[str, str, bool], ...]:
    """An event's own fields: the name inside, the name outside, and whether it is money."""
    return tuple(_outside_name(name) for name in business_fields(event))  # type: ignore[arg-type]


def _outside_name(name: str) -> tuple[str, str, bool]:
    is_money = name.endswith("amount_minor")
    return name, _camel_case(name.removesuffix("_minor") if is_money else name), is_money


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def _listed(value: Primitive) -> Any:
    return list(value) if isinstance(value, tuple) else value
