"""`docs/events.md`: every event, what may be concluded from it, and how it looks outside."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from payflow.documentation import facts
from payflow.documentation.facts import Event
from payflow.documentation.markdown import (
    NOTICE,
    anchor,
    code,
    codes,
    fence,
    folded,
    page,
    table,
)
from shared.event_bus import registered
from shared.events.base import outside_names
from shared.events.schema import DRAFT, example_of, name_of, schema_of

_INTRODUCTION = f"""\
An event is a fact that was committed. Its contract is a dataclass in `shared/events/`; outside the
process it is an envelope of JSON:

| key | what it is |
|---|---|
| `eventId` | the event's own id: handle an event once per id, because it may arrive twice |
| `type` | its name with its version; a change of meaning or shape is a new version |
| `occurredAt` | when it happened, in UTC; it tells when, not in which order |
| `correlationId` | its story: everything that follows from one payment carries the payment's |
| `payload` | what is said below, in camelCase |

Money is a decimal string in major units beside its currency: `"amount": "250.00"`,
`"currency": "USD"`. Events of one story reach each listener in the order in which they were
published.

Each event has a JSON Schema ([draft 2020-12]({DRAFT}))
that admits the envelope as it is and nothing else; every example validates against it, and so does
every event of the stories that the test suite plays."""


def written() -> str:
    """The document."""
    return page(
        NOTICE,
        "# Events",
        _INTRODUCTION,
        "## All of them",
        table(("event", "publisher"), map(_line, facts.events())),
        *(part for event in facts.events() for part in _section(event)),
    )


def _line(event: Event) -> list[str]:
    link = f"[{name_of(event)}]({anchor(name_of(event))})"
    return [link, ", ".join(facts.publishers(event))]


def _section(event: Event) -> Iterator[str]:
    yield f"## {name_of(event)}"
    yield inspect.getdoc(event) or ""
    yield f"Published by {codes(facts.publishers(event))}, heard by {_hearers(event)}."
    yield _fields(event)
    yield folded("Example", fence("json", _json(example_of(event).envelope())))
    yield folded("JSON Schema", fence("json", _json(schema_of(event))))


def _hearers(event: Event) -> str:
    return codes(registered.listener_ids_of(event)) or "nobody"


def _fields(event: Event) -> str:
    shapes = schema_of(event)["properties"]["payload"]["properties"]
    names = outside_names(event)  # type: ignore[arg-type]
    money = {outside for _, outside, is_money in names if is_money}
    lines = [
        [code(name), "money" if name in money else _kind(shape), shape.get("description", "")]
        for name, shape in shapes.items()
    ]
    if any(meaning for *_, meaning in lines):
        return table(("field", "type", "meaning"), lines)
    return table(("field", "type"), (line[:2] for line in lines))


def _kind(shape: dict[str, Any]) -> str:
    kinds: list[str] = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    if kinds[0] == "array":
        return f"list of {shape['items']['type']}s"
    return " or ".join([str(shape.get("format", kinds[0])), *kinds[1:]])


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
