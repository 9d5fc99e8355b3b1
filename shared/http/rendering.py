"""Answering: always JSON, whatever the client says it accepts, and stored bytes as they are."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer


class Renderer(JSONRenderer):
    """JSON; bytes that were stored with an idempotency key pass through unchanged."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        """The body's bytes."""
        if isinstance(data, bytes):
            return data
        return super().render(data, accepted_media_type, renderer_context)


class AlwaysJSON(BaseContentNegotiation):
    """There is one representation, so `Accept` is not consulted and never refused."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """The parser of the request's media type, without its parameters."""
        media_type = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first renderer."""
        return renderers[0], renderers[0].media_type
