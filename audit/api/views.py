"""One view per operation: parse, one call, respond."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.serializers import RecordList, record_resource
from audit.queries import list_records
from shared.http.pagination import Page
from shared.http.principal import principal_of


class AuditEvents(APIView):
    """The merchant's trail."""

    @extend_schema(
        responses=RecordList,
        parameters=[
            OpenApiParameter("eventType", str),
            OpenApiParameter("createdFrom", str),
            OpenApiParameter("createdTo", str),
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
        ],
    )
    def get(self, request: Request) -> Response:
        """List it, newest first."""
        page = Page.of(request, also=["eventType"])
        records = list_records(
            merchant_id=principal_of(request).merchant_id,
            event_type=request.query_params.get("eventType"),
        )
        return Response(page.of_rows(records, key=("occurred_at", "id"), shown=record_resource))
