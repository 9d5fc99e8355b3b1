"""Is the process alive, and may traffic come?"""

import shutil

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from shared import clock
from shared.event_bus.standing import is_behind

_ALIVE = "liveness Check : Im Alive"
_MIN_FREE_BYTES = 100 * 1024 * 1024
_UP, _DOWN = "UP", "DOWN"


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
                "status": _UP,
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
        database = _database()
        checks = {
            "database": database,
            "dispatcher": _dispatcher() if database == _UP else _DOWN,
            "disk": _disk(),
        }
        is_ready = database == _UP
        return JsonResponse(
            {"status": "READY" if is_ready else "NOT_READY", "checks": checks},
            status=200 if is_ready else 503,
        )


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        connection.close_if_unusable_or_obsolete()
        return _DOWN
    return _DOWN if pending else _UP


def _dispatcher() -> str:
    """Whether nothing that is due has waited for longer than any dispatcher's poll period."""
    return _DOWN if is_behind(clock.now()) else _UP


def _disk() -> str:
    return _UP if shutil.disk_usage(settings.ROOT).free >= _MIN_FREE_BYTES else _DOWN
