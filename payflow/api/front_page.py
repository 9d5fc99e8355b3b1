"""`/`: what this is, and where to go from here."""

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

_ADDRESSES = {
    "documentation": "/swagger-ui.html",
    "openapi": "/api/v1/openapi.json",
    "health": "/api/v1/health",
    "ready": "/api/v1/health/ready",
    "admin": "/admin/",
}
"""Paths and no URLs: nothing here depends on the host that was asked for."""


class FrontPage(APIView):
    """A page for people, and the same links for programs that ask for JSON."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Answer in HTML, or in JSON when that is preferred."""
        wanted = request._request.get_preferred_type(["text/html", "application/json"])
        answer = _as_json() if wanted == "application/json" else _as_page()
        patch_vary_headers(answer, ["Accept"])
        return answer


def _as_json() -> HttpResponse:
    return JsonResponse({"name": "PayFlow", "version": settings.VERSION, **_ADDRESSES})


def _as_page() -> HttpResponse:
    facts = {"version": settings.VERSION, "is_sandbox": not settings.IS_PRODUCTION, **_ADDRESSES}
    return HttpResponse(render_to_string("payflow/front_page.html", facts))
