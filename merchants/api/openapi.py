"""How the OpenAPI document describes signed requests: three headers, all of them."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from shared.http.principal import Signed, must_be_signed

_VERSION_2 = (
    "Version 2: `v2=` and hex(HMAC-SHA256(apiKey, message)), the message being six lines joined by"
    " line feeds, without one at the end: `v2`, the timestamp, the method, the request target as"
    " sent (path and query), the header `Idempotency-Key` or nothing, hex(SHA-256(rawBody))."
    " The idempotency key may stand in that header, in the body, or in both."
)
_VERSION_1 = (
    'Version 1: hex(HMAC-SHA256(apiKey, timestamp + "." + rawBody)). It opens reads and the few'
    " requests that name this scheme; a change has its idempotency key in the body."
)
_HEADERS = {
    "MerchantId": ("X-Merchant-ID", "The merchant's UUID."),
    "Timestamp": ("X-Timestamp", "Ten digits of epoch seconds, within 300 seconds of our clock."),
    "Signature": ("X-Signature", f"Either version.\n\n{_VERSION_1}\n\n{_VERSION_2}"),
    "SignatureVersion2": (
        "X-Signature",
        f"Version 2 only: version 1 is refused with `signature_version_required`.\n\n{_VERSION_2}",
    ),
}


class SignatureScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The three signing headers as one AND requirement."""

    target_class = "merchants.api.authentication.SignatureAuthentication"
    name = list(_HEADERS)

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """The headers as API keys."""
        return [
            {"type": "apiKey", "in": "header", "name": header, "description": description}
            for header, description in _HEADERS.values()
        ]

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        """The three of them together; which kind of signature depends on what is asked for."""
        is_open = must_be_signed(auto_schema.view, auto_schema.method) in Signed.BODY
        signature = "Signature" if is_open else "SignatureVersion2"
        return {name: [] for name in ("MerchantId", "Timestamp", signature)}
