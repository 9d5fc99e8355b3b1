"""
One line per answered request, so that whoever quotes a `correlationId` can be told what happened.

It has the route's pattern and never the path, because paths hold tokens; and nothing of headers,
query or body. Probes and static files are told at DEBUG: they say nothing, every second.
"""

import json
import logging

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from shared.http.correlation import HEADER
from shared.http.principal import Principal
from shared.http.problems import CONTENT_TYPE

log = structlog.get_logger(__name__)
_levels = logging.getLogger(__name__)

EVENT = "request"
_REFUSED, _FAILED = 400, 500
_PROBES = frozenset({*settings.PROBES, "/metrics"})


def write(request: HttpRequest, response: HttpResponseBase, *, method: str, seconds: float) -> None:
    """Log the line, at the level that the answer deserves."""
    pattern = pattern_of(request)
    level = _level(pattern, response.status_code)
    if not settings.ACCESS_LOG or not _levels.isEnabledFor(level):
        return
    facts = {
        "method": method,
        "route": pattern,
        "status": response.status_code,
        "code": _code_of(response),
        "merchant_id": _merchant_of(request),
        "duration_ms": round(seconds * 1000, 1),
        "correlation_id": response.headers.get(HEADER),
    }
    log.log(level, EVENT, **{name: fact for name, fact in facts.items() if fact})


def pattern_of(request: HttpRequest) -> str:
    """The whole pattern that matched, such as `/api/v1/tokens/<str:token>`; `none` if none did."""
    return "none" if request.resolver_match is None else f"/{request.resolver_match.route}"


def _level(pattern: str, status: int) -> int:
    if status >= _FAILED:
        return logging.WARNING
    is_dull = pattern in _PROBES or pattern == "none"
    return logging.DEBUG if is_dull and status < _REFUSED else logging.INFO


def _code_of(response: HttpResponseBase) -> str | None:
    # Read from the answer, so that it is what the client sees, whoever refused.
    if response.headers.get("Content-Type") != CONTENT_TYPE or not isinstance(
        response, HttpResponse
    ):
        return None
    code: str = json.loads(response.content).get("code", "")
    return code


def _merchant_of(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    # By its type alone: `isinstance` would load a session's user, lazily kept, from the database.
    return str(user.merchant_id) if type(user) is Principal else None
