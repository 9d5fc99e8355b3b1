"""One view per operation: parse, one call, respond."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger.api.serializers import Journal, entry_resource
from ledger.queries import list_journal
from shared.http.principal import principal_of


class JournalOfStory(APIView):
    """The entries of one story."""

    @extend_schema(responses=Journal)
    def get(self, request: Request, correlation_id: UUID) -> Response:
        """List them, oldest first."""
        merchant_id = principal_of(request).merchant_id
        entries = list_journal(merchant_id=merchant_id, correlation_id=correlation_id)
        return Response({"data": [entry_resource(entry) for entry in entries]})
