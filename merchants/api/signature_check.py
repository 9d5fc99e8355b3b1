"""`/sandbox/signature-check`: what is wrong with a signature, for who is writing a client."""

from dataclasses import asdict, replace
from urllib.parse import urlsplit

from django.http import Http404
from django.urls import Resolver404, resolve
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from merchants import conf
from merchants.api.authentication import signed_request
from merchants.api.serializers import SignatureCheckResource
from merchants.domain.request_signature import SignedRequest
from merchants.use_cases.explain_signature import explain_signature
from shared import clock
from shared.http.parsing import StrictJSONParser
from shared.http.principal import Signed, must_be_signed


class AnyBody(StrictJSONParser):
    """Leaves the body alone: a signature is about bytes, whatever they say."""

    def parse(
        self, stream: object, media_type: object = None, parser_context: object = None
    ) -> dict:  # type: ignore[type-arg]
        """Nothing."""
        return {}


class SignatureCheck(APIView):
    """Sandbox only: send a request here with the same headers and body to learn what is wrong."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (AnyBody,)

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=SignatureCheckResource,
        parameters=[
            OpenApiParameter("method", str, description="Of the request that was meant: `DELETE`"),
            OpenApiParameter("target", str, description="Its target: `/api/v1/tokens/tok_…`"),
        ],
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Say which part of the signature is right or wrong; never shows the right one."""
        if not conf.is_sandbox():
            raise Http404
        meant = _meant(request)
        checks = explain_signature(
            request=meant, lowest_version=_lowest_version(meant), now=clock.now()
        )
        valid = all(check.ok for check in checks)
        return Response({"valid": valid, "checks": [asdict(check) for check in checks]})


def _meant(request: Request) -> SignedRequest:
    """The request as it was to be sent: version 2 covers where it goes."""
    arrived, said = signed_request(request._request), request.query_params
    return replace(
        arrived,
        method=said.get("method", arrived.method),
        target=said.get("target", arrived.target),
    )


def _lowest_version(request: SignedRequest) -> int:
    """The lowest version of a signature that opens what the request is for."""
    try:
        view = getattr(resolve(urlsplit(request.target).path).func, "view_class", None)
    except (Resolver404, ValueError):
        return 1
    is_public = view is None or not view.authentication_classes
    return 1 if is_public or must_be_signed(view, request.method) in Signed.BODY else 2
