"""What a request to the API must be before anything reads it: bounded, and of a known length."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from shared.http.problems import problem_response

_MAX_LENGTH_DIGITS = 9
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestLimitsMiddleware:
    """
    Refuses chunked bodies (411), bodies over 64 KiB (413) and a GET with a body (400).

    Not only below `/api/`: a cookie with a NUL (400).
    Under WSGI a chunked body reads as empty, so it would be verified with the signature of an
    empty one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the rest of the chain."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass on."""
        # A cookie can spell NUL as an octal escape, and the session's is looked up as it is.
        if any("\0" in value for value in request.COOKIES.values()):
            return problem_response(400, "bad_request", "A cookie contains a NUL character.")
        if not request.path_info.startswith("/api/"):
            return self._get_response(request)
        return _refusal(request) or self._get_response(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return problem_response(411, "length_required", "Send the body with a Content-Length.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return problem_response(400, "bad_request", "Content-Length is not a number.")
    if len(length) > _MAX_LENGTH_DIGITS or int(length) > settings.BODY_LIMIT_BYTES:
        limit = settings.BODY_LIMIT_BYTES
        return problem_response(413, "body_too_large", f"A body has at most {limit} bytes.")
    if int(length) and request.method in _WITHOUT_BODY:
        return problem_response(400, "bad_request", f"A {request.method} request has no body.")
    return None
