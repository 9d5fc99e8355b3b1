"""How the OpenAPI document describes signed requests: three headers, all of them."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

_HEADERS = {
    "MerchantId": ("X-Merchant-ID", "The merchant's UUID."),
    "Timestamp": ("X-Timestamp", "Ten digits of epoch seconds, within 300 seconds of our clock."),
    "Signature": (
        "X-Signature",
        'hex(HMAC-SHA256(apiKey, timestamp + "." + rawBody)), or v2=… over six lines.',
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
        """All of them together."""
        return {name: [] for name in _HEADERS}
