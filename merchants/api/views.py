"""One view per operation: parse, one call, respond."""

from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from merchants import conf
from merchants.api.authentication import signed_request
from merchants.api.serializers import (
    ApiKeyList,
    KeyedRequest,
    MerchantResource,
    RegisteredResource,
    RegisterRequest,
    RotatedResource,
    RotateRequest,
    api_key_resource,
    merchant_resource,
    registered_resource,
    rotated_resource,
)
from merchants.queries import get_merchant, list_keys
from merchants.use_cases.register_merchant import register_merchant
from merchants.use_cases.revoke_api_key import revoke_api_key
from merchants.use_cases.rotate_api_key import rotate_api_key
from merchants.use_cases.show_rotated_key_again import show_rotated_key_again
from merchants.use_cases.verify_request import fingerprint_of
from shared import clock
from shared.http.idempotency import REPLAYED, RETENTION_OF_SECRETS, Accepted, Answer, answer_once
from shared.http.pagination import Page
from shared.http.principal import principal_of
from shared.http.throttling import RateLimit, subscriber_of


class RegisterMerchant(APIView):
    """Register a merchant; the one public endpoint, limited per address."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=RegisterRequest, responses={201: RegisteredResource}, auth=[])
    def post(self, request: Request) -> Response:
        """Register; the key is shown in this answer and never again."""
        validated = RegisterRequest.validated(request.data)
        # What cannot register anybody takes nothing from those who share the address. A taken
        # e-mail address takes its token: for nothing, it would tell anybody who is registered.
        per_hour = conf.registrations_per_hour()
        RateLimit("register", per_hour, per_hour / 3600).take(subscriber_of(request._request))
        registered = register_merchant(**validated, now=clock.now())
        return Response(registered_resource(registered), status=201)


class Me(APIView):
    """The calling merchant's profile."""

    @extend_schema(responses=MerchantResource)
    def get(self, request: Request) -> Response:
        """Show it."""
        return Response(merchant_resource(get_merchant(principal_of(request).merchant_id)))


class Keys(APIView):
    """The calling merchant's keys."""

    @extend_schema(
        responses=ApiKeyList,
        parameters=[
            OpenApiParameter("createdFrom", str),
            OpenApiParameter("createdTo", str),
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
        ],
    )
    def get(self, request: Request) -> Response:
        """List all that were ever issued, newest first."""
        page = Page.of(request)
        keys = list_keys(principal_of(request).merchant_id)
        shown = partial(api_key_resource, now=clock.now())
        return Response(page.of_rows(keys, key=("created_at", "id"), shown=shown))


class RotateKey(APIView):
    """Change over to a new key."""

    @extend_schema(request=RotateRequest, responses={201: RotatedResource}, parameters=[REPLAYED])
    def post(self, request: Request) -> Response:
        """Issue a new key; the one that signed works until the overlap ends."""
        validated = RotateRequest.validated(request.data)
        principal = principal_of(request)
        signer: dict[str, Any] = {
            "merchant_id": principal.merchant_id,
            "signed_with": principal.credential_id,
        }

        def rotate(key: str) -> Accepted:
            rotated = rotate_api_key(
                **signer,
                fingerprint=fingerprint_of(signed_request(request._request)),
                overlap_seconds=validated["overlapSeconds"],
                now=clock.now(),
            )
            return Accepted(rotated.key.pk, Answer(201, rotated_resource(rotated)))

        def again(key_id: UUID) -> None:
            show_rotated_key_again(**signer, key_id=key_id, now=clock.now())

        return answer_once(
            request, validated, rotate, retention=RETENTION_OF_SECRETS, before_repeat=again
        )


class RevokeKey(APIView):
    """End a key at once."""

    @extend_schema(request=KeyedRequest, responses={204: None}, parameters=[REPLAYED])
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke; the next request signed with it is refused."""
        validated = KeyedRequest.validated(request.data)

        def revoke(key: str) -> Accepted:
            merchant_id = principal_of(request).merchant_id
            revoked = revoke_api_key(merchant_id=merchant_id, key_id=key_id, now=clock.now())
            return Accepted(revoked.pk, Answer(204, None))

        return answer_once(request, validated, revoke)
