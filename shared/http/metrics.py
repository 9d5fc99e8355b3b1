"""Counts and logs requests, by the route that answered: never by path, which would name an id."""

import time
from collections.abc import Callable
from functools import cache

from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter

from shared import metrics
from shared.http import request_log
from shared.metrics import BatchHistogram

_REQUESTS = metrics.counter(
    "payflow_http_requests", "Requests answered", ["route", "method", "status"]
)
_SECONDS = metrics.histogram(
    "payflow_http_request_seconds",
    "Time from request to answer, waiting for a decision included",
    ["route", "method"],
    buckets=metrics.SHORT_SECONDS,
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PAGES = ("admin/",)
"""Counted as one: what people click is nobody's service level."""


class RequestMetricsMiddleware:
    """Counts, times and logs every request; outermost, so that it sees what the others answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the rest of the chain."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, count, and log."""
        started = time.perf_counter()
        response = self._get_response(request)
        route, method = route_of(request), method_of(request)
        seconds = time.perf_counter() - started
        _seconds(route, method).observe(seconds)
        _requests(route, method, response.status_code).inc()
        request_log.write(request, response, method=method, seconds=seconds)
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern that matched, such as `/api/v1/tokens/<str:token>`; `none` if none did."""
    if request.resolver_match is None:
        return "none"
    route = request.resolver_match.route
    return "/" + next((pages for pages in _PAGES if route.startswith(pages)), route)


def method_of(request: HttpRequest) -> str:
    """The method; `other` for one that HTTP does not know, since anybody may make one up."""
    return request.method if request.method in _METHODS else "other"


@cache
def _seconds(route: str, method: str) -> BatchHistogram:
    return _SECONDS.labels(route, method)


@cache
def _requests(route: str, method: str, status: int) -> Counter:
    return _REQUESTS.labels(route, method, str(status))
