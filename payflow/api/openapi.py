"""`GET /api/v1/openapi.json`: the contract, which is the same as long as the process lives."""

import threading
from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

_turn = threading.Lock()


class OpenApi(APIView):
    """The OpenAPI document, generated when it is first asked for."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Answer with the document's bytes."""
        # One at a time: the generator loads its extensions at first use, and is not thread-safe.
        with _turn:
            document = _generated()
        return HttpResponse(document, content_type=OpenApiJsonRenderer.media_type)


@cache
def _generated() -> bytes:
    generator: Any = SchemaGenerator
    document: bytes = OpenApiJsonRenderer().render(generator().get_schema(public=True))
    return document
