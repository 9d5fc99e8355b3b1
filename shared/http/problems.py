"""
Errors as RFC 9457 `application/problem+json`: one shape for everything that goes wrong.

`code` is stable and documented; `detail` is for people and never shows SQL, a traceback or another
merchant's data.
"""

import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions

from shared import correlation
from shared.errors import DomainError

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
_WORTH_TRYING_AGAIN = frozenset({"idempotency_key_in_use"})

# What Django REST framework raises by itself, as codes of ours.
_FRAMEWORK_CODES = {
    exceptions.ParseError: "malformed_body",
    exceptions.NotAuthenticated: "invalid_signature",
    exceptions.AuthenticationFailed: "invalid_signature",
    exceptions.PermissionDenied: "not_allowed",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.Throttled: "too_many_requests",
}
# Its own words would repeat what was sent.
_DETAILS = {
    exceptions.MethodNotAllowed: "This address does not know that method.",
    exceptions.UnsupportedMediaType: "Send JSON in UTF-8, with Content-Type: application/json.",
}
# What Django raises by itself.
_DJANGO_PROBLEMS: dict[type[Exception], tuple[int, str, str]] = {
    Http404: (404, "not_found", "There is no such thing."),
    UnreadablePostError: (408, "request_timeout", "The body did not arrive in time."),
    DisallowedHost: (400, "host_not_served", "The host that the request names is not served here."),
    PermissionDenied: (400, "bad_request", "The request is not acceptable."),
    SuspiciousOperation: (400, "bad_request", "The request is not acceptable."),
}
# Refusals of a single field that deserve a code of their own instead of `validation_failed`.
_FIELD_CODES = frozenset({"unknown_field", "card_number_refused"})


def problem(status: int, code: str, detail: str, **extra: object) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "type": f"urn:payflow:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "correlationId": correlation.current(),
        **extra,
    }


def problem_response(status: int, code: str, detail: str) -> HttpResponse:
    """A problem document as a response, for what happens outside the views."""
    return _response(problem(status, code, detail))


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Django REST framework's hook: every exception of a view as a problem document."""
    body = _problem_of(error)
    return _response(body, _headers_of(error, body))


def _response(body: dict[str, Any], headers: dict[str, str] | None = None) -> HttpResponse:
    # A plain response: the framework's own is rendered by the view's renderer, be it HTML.
    return JsonResponse(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _problem_of(error: Exception) -> dict[str, Any]:
    if isinstance(error, DomainError):
        return problem(error.status, error.code, error.detail, **error.extra)
    if isinstance(error, exceptions.ValidationError):
        return _validation_problem(error)
    if isinstance(error, exceptions.APIException):
        code = _FRAMEWORK_CODES.get(type(error), "error")
        return problem(error.status_code, code, _DETAILS.get(type(error), str(error.detail)))
    for kind, (status, code, detail) in _DJANGO_PROBLEMS.items():
        if isinstance(error, kind):
            return problem(status, code, detail)
    return _unanticipated(error)


def _headers_of(error: Exception, body: dict[str, Any]) -> dict[str, str]:
    if body["status"] == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Signature"}
    if wait_seconds := getattr(error, "wait", None):
        return {"Retry-After": str(int(wait_seconds) + 1)}
    if body["status"] == HTTPStatus.SERVICE_UNAVAILABLE or body["code"] in _WORTH_TRYING_AGAIN:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    if request.path.startswith("/admin/"):
        return defaults.page_not_found(request, exception)
    return problem_response(404, "not_found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, DisallowedHost):
        return problem_response(*_DJANGO_PROBLEMS[DisallowedHost])
    return problem_response(400, "bad_request", "The request is not acceptable.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if request.path.startswith("/admin/"):
        return defaults.permission_denied(request, exception)
    return problem_response(403, "not_allowed", "You may not do this.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what went wrong outside the views."""
    log.error("unanticipated error", exc_info=sys.exc_info()[1])
    return problem_response(500, "internal_error", "Something went wrong on our side.")


def _unanticipated(error: Exception) -> dict[str, Any]:
    if isinstance(error, OperationalError | InterfaceError):
        connection.close_if_unusable_or_obsolete()
        log.warning("database unavailable", reason=type(error.__cause__).__name__)
        return problem(503, "unavailable", "The platform cannot answer now; please try again.")
    log.error("unanticipated error", exc_info=error)
    return problem(500, "internal_error", "Something went wrong on our side.")


def _validation_problem(error: exceptions.ValidationError) -> dict[str, Any]:
    found = list(_flatten(error.detail))
    codes = [code for _, _, code in found if code in _FIELD_CODES]
    return problem(
        400,
        codes[0] if codes else "validation_failed",
        "; ".join(f"{field}: {message}" if field else message for field, message, _ in found[:3]),
        errors=[{"field": field, "message": message} for field, message, _ in found],
    )


def _flatten(detail: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(detail, dict):
        for key, inner in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _flatten(inner, f"{path}.{name}".strip("."))
    elif isinstance(detail, list | tuple):
        for inner in detail:
            yield from _flatten(inner, path)
    else:
        yield path, str(detail), getattr(detail, "code", "")
