"""Is the process alive, and may traffic come?"""

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from payflow.api import checks
from shared import clock

_ALIVE = "liveness Check : Im Alive"


class Health(APIView):
    """Alive as long as it answers; looks at nothing else."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request: Request) -> HttpResponse:
        """Answer in JSON, or as plain text when asked for it."""
        if request.headers.get("Accept", "").startswith("text/plain"):
            return HttpResponse(_ALIVE, content_type="text/plain")
        return JsonResponse(
            {
                "status": checks.UP,
                "message": _ALIVE,
                "timestamp": clock.iso(clock.now()),
                "version": settings.VERSION,
            }
        )


class Ready(APIView):
    """Ready when the database answers and no migration is pending; the rest is only reported."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> HttpResponse:
        """200 READY or 503 NOT_READY with what was found."""
        found = checks.readiness.findings()
        is_ready = found["database"] == checks.UP
        return JsonResponse(
            {"status": "READY" if is_ready else "NOT_READY", "checks": found},
            status=200 if is_ready else 503,
        )
