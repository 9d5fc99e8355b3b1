"""`X-Correlation-ID` on every response: ours, never the caller's; a story's where one is met."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from shared import correlation
from shared.identifiers import new_id

HEADER = "X-Correlation-ID"


class CorrelationMiddleware:
    """Starts every request under a new correlation id and answers with the one in force."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the rest of the chain."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, naming the story that a view named itself or adopted meanwhile."""
        with correlation.working_on(str(new_id())):
            response = self._get_response(request)
            response.headers.setdefault(HEADER, correlation.current())
            return response
