"""The OpenAPI document is valid, complete, and says what the API does."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def addresses(patterns: list[Any], prefix: str = "/") -> list[str]:
    found = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += addresses(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            found.append(prefix + str(pattern.pattern))
    return [address for address in found if address.startswith("/api/v1/")]


def keyed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations whose body takes an idempotency key."""
    schemas = document["components"]["schemas"]

    def takes_key(operation: dict[str, Any]) -> bool:
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("schema", {})
        name = body.get("$ref", "").rpartition("/")[2]
        return "idempotencyKey" in schemas.get(name, {}).get("properties", {})

    operations = [op for path in document["paths"].values() for op in path.values()]
    return [operation for operation in operations if takes_key(operation)]


class TestOpenAPI:
    def test_is_generated_without_a_warning(self) -> None:
        call_command("spectacular", "--fail-on-warn", "--validate", "--file", "/dev/null")

    def test_is_version_3_1(self, document: dict[str, Any]) -> None:
        assert document["openapi"].startswith("3.1")

    def test_names_every_address(self, document: dict[str, Any]) -> None:
        served = {address.split("<")[0] for address in addresses(get_resolver().url_patterns)}
        told = {path.split("{")[0] for path in document["paths"]}
        assert served - told == {"/api/v1/openapi.json"}

    def test_says_which_answers_may_be_repeated(self, document: dict[str, Any]) -> None:
        for operation in keyed(document):
            told = {
                status: "Idempotent-Replayed" in answer.get("headers", {})
                for status, answer in operation["responses"].items()
            }
            assert told == {status: status != "202" for status in told}, operation["operationId"]

    def test_says_that_what_is_undecided_is_not_kept(self, document: dict[str, Any]) -> None:
        undecided = [op["responses"]["202"] for op in keyed(document) if "202" in op["responses"]]
        assert len(undecided) == 6
        assert all("Never stored" in answer["description"] for answer in undecided)

    def test_asks_for_all_three_signing_headers(self, document: dict[str, Any]) -> None:
        (requirement,) = document["paths"]["/api/v1/payments"]["post"]["security"]
        schemes = document["components"]["securitySchemes"]
        headers = {schemes[name]["name"] for name in requirement}
        assert headers == {"X-Merchant-ID", "X-Timestamp", "X-Signature"}

    def test_says_where_version_2_is_wanted(self, document: dict[str, Any]) -> None:
        either = {
            (method, path.removeprefix("/api/v1"))
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for requirement in operation.get("security", ())
            if "Signature" in requirement and method != "get"
        }
        assert either == {
            ("post", "/payments"),
            ("post", "/payments/authorize"),
            ("post", "/tokens"),
        }
        (void,) = document["paths"]["/api/v1/payments/{payment_id}/void"]["post"]["security"]
        assert void.keys() == {"MerchantId", "Timestamp", "SignatureVersion2"}
