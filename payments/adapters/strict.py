"""Reading processors' answers strictly: what is not as published is refused, never guessed."""

import re
from collections.abc import Mapping
from typing import Any

_IDENTIFIER = re.compile(r"[!-~]{1,200}", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class NotAsPublished(ValueError):
    """The answer is not of the published shape."""


def identifier(value: object) -> str:
    """A name that the processor gave something: printable, without spaces, of bounded length."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise NotAsPublished("not an identifier")
    return value


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise NotAsPublished("not a text")
    return value


def whole_number(value: object) -> int:
    """An int; 1.0 and True equal 1 in Python, and neither is an amount."""
    if type(value) is not int:
        raise NotAsPublished("not a whole number")
    return value


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise NotAsPublished("not an object")
    return value


_LONGEST_ADDRESS = 2000


def web_address(value: object) -> str:
    """A URL that a browser may be sent to; `javascript:` is none."""
    url = text(value)
    is_address = url.startswith(("https://", "http://")) and len(url) <= _LONGEST_ADDRESS
    if not is_address or not url.isprintable():
        raise NotAsPublished("not a web address")
    return url


def code(value: object, default: str) -> str:
    """A reason in snake_case; the default for anything else, since no reason changes an outcome."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else default
