"""Stripe's way to ask: forms with brackets, and its own words for what is wrong with them."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

MAX_AMOUNT = 99_999_999_999
_FIELDS = 200
_DEPTH = 6
_METADATA_KEYS, _METADATA_KEY, _METADATA_VALUE = 50, 40, 500
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_DIGITS = 15

Form = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of Stripe's; `payment_intent` comes with errors about one."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str = ""
    param: str = ""
    decline_code: str = ""
    charge: str = ""
    payment_intent: Mapping[str, Any] | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The error object."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        for name in ("code", "decline_code", "param", "charge", "payment_intent"):
            if value := getattr(self, name):
                error[name] = value
        if self.code:
            error["doc_url"] = f"https://docs.stripe.com/error-codes#{self.code}"
        return {"error": error}


class Refused(Exception):
    """A request that Stripe would refuse, and in which words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def invalid(message: str, code: str = "", param: str = "") -> Refused:
    """A refusal of a parameter, to be raised."""
    return Refused(Problem(HTTPStatus.BAD_REQUEST, message, code=code, param=param))


def missing(kind: str, param: str, status: int = HTTPStatus.NOT_FOUND) -> Refused:
    """A refusal of a name that nothing has, to be raised."""
    message = f"No such {kind}."
    return Refused(Problem(status, message, code="resource_missing", param=param))


def read_form(body: bytes) -> Form:
    """This will read a body into nested dictionaries. Raises: Refused."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except (ValueError, UnicodeDecodeError):
        raise invalid("The form cannot be read.") from None
    return nested(pairs)


def nested(pairs: Iterable[tuple[str, str]]) -> Form:
    """This will turn `a[b][c]=v` into `{"a": {"b": {"c": "v"}}}`. Raises: Refused."""
    form: Form = {}
    for name, value in pairs:
        found = _NAME.fullmatch(name)
        parts = [found[1], *_PART.findall(found[2])] if found else []
        if not parts or len(parts) > _DEPTH:
            raise invalid("Invalid parameter name.")
        place = form
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise invalid("Invalid parameter.", param=parts[0])
        # `a[]` names the next of a list.
        place[parts[-1] or str(len(place))] = value
    return form


def check_known(form: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises: Refused, for the first parameter that nobody knows."""
    for name in form:
        if name not in known:
            raise invalid(f"Received unknown parameter: {name[:100]}", "parameter_unknown", name)


def text(form: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """This will read text; without a default it is needed. Raises: Refused."""
    value = form.get(name, default)
    if value is None or (value == "" and default is None):
        raise invalid(f"Missing required param: {name}.", "parameter_missing", name)
    if not isinstance(value, str) or not value.isprintable():
        raise invalid(f"Invalid string: {name}.", param=name)
    return value


def whole(form: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """This will read a whole number from 0; without a default it is needed. Raises: Refused."""
    value = text(form, name, None if default is None else str(default))
    if not value.isascii() or not value.isdigit() or len(value) > _DIGITS:
        raise invalid("Invalid integer.", "parameter_invalid_integer", name)
    return int(value)


def amount(form: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """This will read an amount in minor units. Raises: Refused."""
    value = whole(form, name, default)
    if value > MAX_AMOUNT:
        raise invalid("Amount must be no more than 999999999.99.", "amount_too_large", name)
    return value


def flag(form: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """This will read `true` or `false`. Raises: Refused."""
    value = text(form, name, "true" if default else "false")
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {name}.", param=name)
    return value == "true"


def section(form: Mapping[str, Any], name: str) -> Form:
    """This will read what is in brackets after a name. Raises: Refused."""
    value = form.get(name, {})
    if value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid("Invalid object.", param=name)
    return value


def metadata(form: Mapping[str, Any]) -> dict[str, str]:
    """This will read metadata within Stripe's limits. Raises: Refused."""
    given = section(form, "metadata")
    fits = all(
        isinstance(value, str) and len(value) <= _METADATA_VALUE and len(key) <= _METADATA_KEY
        for key, value in given.items()
    )
    if not fits or len(given) > _METADATA_KEYS:
        raise invalid("Invalid metadata.", param="metadata")
    return given


def rendered(content: Mapping[str, Any]) -> bytes:
    """This will write JSON as the body of an answer."""
    return json.dumps(content).encode()
