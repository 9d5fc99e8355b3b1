"""
What an event looks like to other systems: the JSON Schema of its envelope, and an example.

Derived from the contract, so that neither can differ from what `DomainEvent.envelope` returns.
"""

import ast
import hashlib
import inspect
import re
import textwrap
from dataclasses import fields
from itertools import pairwise
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from shared.events.base import DomainEvent, outside_names

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_UUID: Schema = {"type": "string", "format": "uuid"}
_INSTANT: Schema = {"type": "string", "format": "date-time", "pattern": "Z$"}
_MONEY: Schema = {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$"}
_CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}

# By the ends of names, as a reader would guess: the contracts keep to them.
_BY_ENDING: tuple[tuple[str, Schema, str | int], ...] = (
    ("amount_minor", _MONEY, 25_000),
    ("currency", _CURRENCY, "USD"),
    ("_id", _UUID, ""),
    ("_at", _INSTANT, "2026-03-14T09:26:53.589793Z"),
    ("_before", _INSTANT, "2026-03-21T09:26:53.589793Z"),
)
_EXAMPLES: dict[str, str | int | bool | tuple[str, ...]] = {
    "merchant_name": "Acme Corp",
    "merchant_email": "till@acme.example",
    "payment_method_type": "CARD",
    "payment_method_token": "tok_4f9c2d71",
    "instrument_fingerprint": "9c1f0a6be2d84735",
    "processor": "sandbox",
    "processor_reference": "sbx_7d1e90",
    "released_amount_minor": 0,
    "is_final": True,
    "score": 85,
    "risk_score": 15,
    "decision": "APPROVE",
    "rules": ("VELOCITY",),
    "reason": "requested by the customer",
    "entry_type": "AUTH",
    "template": "payment_authorised",
    "channel": "EMAIL",
    "api_key_prefix": "pk_3fa8",
    "actor": "olga",
    "action": "fraud.review.approve",
    "subject": "01890a5d-ac96-774b-bcce-b302099a8057",
}


def name_of(event: type[DomainEvent]) -> str:
    """The name an event has outside: its type with its version."""
    return f"{event.event_type}.v{event.version}"


def schema_of(event: type[DomainEvent]) -> Schema:
    """The JSON Schema (draft 2020-12) of an event's envelope; it admits nothing else."""
    described, hints = descriptions_of(event), get_type_hints(event)
    payload = {
        outside: _property(inside, hints[inside], described.get(inside, ""))
        for inside, outside, _ in outside_names(event)  # type: ignore[arg-type]
    }
    envelope: Schema = {
        "eventId": _UUID,
        "type": {"const": name_of(event)},
        "occurredAt": _INSTANT,
        "correlationId": _UUID,
        "payload": _object(payload),
    }
    head = {"$schema": DRAFT, "$id": f"urn:payflow:event:{name_of(event)}"}
    return {**head, "title": name_of(event), **_object(envelope)}


def example_of(event: type[DomainEvent]) -> DomainEvent:
    """An event of this type as it might be published, the same every time."""
    hints = get_type_hints(event)
    return event(**{field.name: _example(field.name, hints[field.name]) for field in fields(event)})


def descriptions_of(event: type[DomainEvent]) -> dict[str, str]:
    """What the contract's source says below its fields, and below those it inherits."""
    found: dict[str, str] = {}
    for base in reversed(event.__mro__[:-1]):
        (source,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, text in pairwise(getattr(source, "body", [])):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(words))
                ):
                    found[name] = " ".join(words.split())
    return found


def _property(name: str, hint: Any, description: str) -> Schema:
    schema = _shape(name, hint)
    return {**schema, "description": description} if description else schema


def _shape(name: str, hint: Any) -> Schema:
    for ending, schema, _ in _BY_ENDING:
        if name.endswith(ending):
            return _or_null(schema) if _is_optional(hint) else schema
    return _or_null(_plain(hint)) if _is_optional(hint) else _plain(hint)


def _plain(hint: Any) -> Schema:
    if get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    kinds: set[type] = set(get_args(hint)) or {hint}
    # In this order, because `bool` is an `int` to Python and not to JSON.
    for kind, name in ((bool, "boolean"), (int, "integer")):
        if kind in kinds:
            return {"type": name}
    return {"type": "string"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _is_optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _example(name: str, hint: Any) -> Any:
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    for ending, _, value in _BY_ENDING:
        if name.endswith(ending):
            return value or _uuid(name)
    kind = _plain(hint)["type"]
    text = re.sub("_", " ", name)
    return {"string": text, "integer": 1, "boolean": False, "array": (text,)}[kind]


def _uuid(name: str) -> str:
    digits = hashlib.sha256(name.encode()).hexdigest()
    return f"019ced5a-{digits[:4]}-7{digits[4:7]}-b{digits[7:10]}-{digits[10:22]}"
