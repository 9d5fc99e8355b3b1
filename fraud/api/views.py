"""One view per operation: parse, one call, respond."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fraud.api.serializers import AssessmentResource, assessment_resource
from fraud.queries import get_assessment
from shared.http.principal import principal_of


class AssessmentDetail(APIView):
    """What the rules said about a payment."""

    @extend_schema(responses=AssessmentResource)
    def get(self, request: Request, payment_id: UUID) -> Response:
        """Show it."""
        merchant_id = principal_of(request).merchant_id
        assessment = get_assessment(merchant_id=merchant_id, payment_id=payment_id)
        return Response(assessment_resource(assessment))
