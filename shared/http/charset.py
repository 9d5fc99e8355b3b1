"""
`Content-Type`, before Django reads it.

Django decodes the query string in the charset that `Content-Type` names, while it makes the request
object and thus before any handler: `hex` and `undefined` raise there, and `unicode_escape` makes
NUL and half surrogates of plain ASCII.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils.http import parse_header_parameters

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Utf8Only:
    """A WSGI application in front of another: a type in another charset is as good as none."""

    def __init__(self, application: Application) -> None:
        """Keep the application behind."""
        self._application = application

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on; without a type its body, if there is one, is refused (415)."""
        if not _is_readable(environ.get("CONTENT_TYPE", "")):
            environ["CONTENT_TYPE"] = ""
        return self._application(environ, start_response)


def is_utf8(charset: str) -> bool:
    """Whether a charset's name means UTF-8."""
    return charset.lower() in ("utf-8", "utf8")


def _is_readable(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
    except (ValueError, LookupError):
        return False
    return is_utf8(parameters.get("charset", "utf-8"))
