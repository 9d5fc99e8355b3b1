"""The authentication class named in settings: a signed request becomes a `Principal`."""

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from merchants.domain.request_signature import SignedRequest
from merchants.use_cases.verify_request import verify_request
from shared import clock
from shared.http.idempotency import HEADER as IDEMPOTENCY_HEADER
from shared.http.principal import Principal, Signed

_SIGNED = {1: Signed.BODY, 2: Signed.ALL}


class SignatureAuthentication(BaseAuthentication):
    """Verifies `X-Signature` over the raw bytes, before anything parses them."""

    def authenticate(self, request: Request) -> tuple[Principal, None]:
        """The merchant who signed. Raises: InvalidSignature."""
        verified = verify_request(request=signed_request(request._request), now=clock.now())
        merchant = verified.merchant
        principal = Principal(
            merchant_id=merchant.pk,
            name=merchant.name,
            email=merchant.email,
            signed=_SIGNED[verified.version],
            credential_id=verified.key.pk,
            is_suspended=merchant.is_suspended,
        )
        return principal, None

    def authenticate_header(self, request: Request) -> str:
        """The scheme named in `WWW-Authenticate`."""
        return "Signature"


def signed_request(request: HttpRequest) -> SignedRequest:
    """The request as it arrived, as far as signatures are concerned."""
    meta = request.META
    return SignedRequest(
        merchant_id=meta.get("HTTP_X_MERCHANT_ID", ""),
        timestamp=meta.get("HTTP_X_TIMESTAMP", ""),
        signature=meta.get("HTTP_X_SIGNATURE", ""),
        method=request.method or "",
        target=meta.get("RAW_URI") or request.get_full_path(),
        idempotency_key=meta.get(IDEMPOTENCY_HEADER, ""),
        body=request.body,
    )
