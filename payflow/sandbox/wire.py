"""JSON in and out, and the checks that every JSON door makes."""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from payflow.sandbox.server import Refused, Reply, Request

MAX_AMOUNT_MINOR = 10**12


def reply(status: int, content: Mapping[str, Any], *headers: tuple[str, str]) -> Reply:
    """An answer of JSON."""
    return Reply(status, json.dumps(content).encode(), headers)


def error(status: int, code: str) -> Reply:
    """An answer that says what is wrong: `{"error": code}`."""
    return reply(status, {"error": code})


def refused(code: str, status: int = HTTPStatus.BAD_REQUEST) -> Refused:
    """The same, to be raised."""
    return Refused(error(status, code))


def check_method(request: Request, method: str) -> None:
    """Raises: Refused, with 405, unless the request has the method."""
    if request.method != method:
        answer = reply(
            HTTPStatus.METHOD_NOT_ALLOWED, {"error": "method_not_allowed"}, ("Allow", method)
        )
        raise Refused(answer)


def read_object(request: Request) -> dict[str, Any]:
    """This will read the body as a JSON object. Raises: Refused, with 400."""
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        raise refused("malformed_json") from None
    if not isinstance(content, dict):
        raise refused("malformed_json")
    return content


def text(content: Mapping[str, Any], name: str, *, limit: int = 200, is_needed: bool = True) -> str:
    """This will read printable text. Raises: Refused, with 400 and the field's name."""
    value = content.get(name, None if is_needed else "")
    if not isinstance(value, str) or len(value) > limit or not (value.isprintable()):
        raise refused(f"invalid_{name}")
    if is_needed and not value:
        raise refused(f"invalid_{name}")
    return value


def whole(content: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """This will read a whole number. Raises: Refused, with 400 and the field's name."""
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise refused(f"invalid_{name}")
    return value


def flag(content: Mapping[str, Any], name: str, *, default: bool | None = None) -> bool:
    """This will read true or false. Raises: Refused, with 400 and the field's name."""
    value = content.get(name, default)
    if not isinstance(value, bool):
        raise refused(f"invalid_{name}")
    return value


def number_in_query(request: Request, name: str, default: int, high: int) -> int:
    """This will read a whole number from 0 of the query. Raises: Refused, with 400."""
    value = request.query.get(name, str(default))
    if not value.isascii() or not value.isdigit() or len(value) > len(str(high)):
        raise refused(f"invalid_{name}")
    return min(int(value), high)


def idempotency_key(request: Request) -> str:
    """This will read the key from its header. Raises: Refused, with 400."""
    key = request.headers.get("idempotency-key", "")
    if not 0 < len(key) <= 255 or not key.isascii() or not key.isprintable():  # noqa: PLR2004
        raise refused("idempotency_key_needed")
    return key


def fingerprint(secret: bytes, *parts: object) -> str:
    """This will answer what tells two requests apart; nobody can find a card number from it."""
    content = json.dumps(parts, sort_keys=True).encode()
    return hashlib.blake2b(content, key=secret[:64], digest_size=16).hexdigest()
