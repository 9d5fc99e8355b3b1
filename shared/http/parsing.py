"""
Reading a body: exactly the bytes whose signature was verified, and strict JSON.

Python's parser takes NaN, Infinity, UTF-16, duplicate keys and lone surrogates; each of them is a
request that two readers understand differently, so each is refused.
"""

import json
from typing import Any, NoReturn

from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from shared.http.charset import is_utf8

_MAX_DEPTH = 20


class Number:
    """A JSON number with a fraction or exponent, kept as its text so that nothing is rounded."""

    def __init__(self, text: str) -> None:
        """Keep the text as sent."""
        self.text = text


class StrictJSONParser(BaseParser):
    """Parses a JSON object in UTF-8; anything ambiguous is 400 `malformed_body`."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        """The body as a dictionary. Raises: ParseError, UnsupportedMediaType."""
        request: Request = parser_context["request"]
        parameters = request._request.content_params or {}
        if not is_utf8(parameters.get("charset", "utf-8")):
            raise UnsupportedMediaType(media_type or "")
        return parse_object(request._request.body)


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object from bytes. Raises: ParseError."""
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
            parse_float=Number,
        )
        _check(document, depth=0)
    except ParseError:
        raise
    except (ValueError, RecursionError):
        raise ParseError("The body is not JSON in UTF-8.") from None
    if not isinstance(document, dict):
        raise ParseError("The body is a JSON object.")
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ParseError("The body names a key twice.")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ParseError("NaN and Infinity are not JSON.")


def _check(value: Any, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ParseError("The body is nested too deeply.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check(inner, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth=depth + 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("The body contains a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ParseError("The body contains half a surrogate pair.")
