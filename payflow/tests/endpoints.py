"""Every address of the API and what it takes, as the URL configuration has it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes() -> dict[str, list[str]]:
    """Every address below `/api/v1/` with its methods."""
    return {
        path: [method for method in METHODS if hasattr(view, method.lower())]
        for path, view in views().items()
    }


def views() -> dict[str, Any]:
    """Every address below `/api/v1/` with its view."""
    return dict(_views(get_resolver().url_patterns, ""))


def address(path: str, at: Mapping[str, str]) -> str:
    """An address with values for its parameters, below `/api/v1`."""
    return "/" + re.sub(r"<\w+:(\w+)>", lambda match: at[match[1]], path)


def _views(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("api/v1/"):
            callback: Any = pattern.callback
            yield path.removeprefix("api/v1/"), callback.view_class
