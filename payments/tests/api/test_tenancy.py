"""Other tenants' objects: on every route there is, as if they did not exist (S rows, F95)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from shared.event_bus import drain
from shared.testing.api import Written, payment_body, problem_in, refused
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

PUBLIC = {
    *("health", "health/ready", "openapi.json", "merchants/register", "sandbox/signature-check"),
    "processor-callbacks/<slug:processor>",  # signed by processors, each in its own way
}


@dataclass(frozen=True)
class Route:
    """An address below `/api/v1/` and the methods it knows."""

    path: str
    parameters: tuple[str, ...]
    methods: tuple[str, ...]

    def at(self, **values: str) -> str:
        path = "/" + self.path
        for name in self.parameters:
            path = re.sub(rf"<(id|str):{name}>", values[name], path)
        assert "<" not in path, f"{path}: teach this test the new kind of parameter"
        return path


def routes() -> list[Route]:
    """Everything in the URLconf below `/api/v1/`."""
    found = list(_routes(get_resolver().url_patterns, ""))
    return [route for route in found if route.path not in PUBLIC]


def _routes(patterns: Any, prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if path == "" or path.startswith("api/v1/"):
                yield from _routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("api/v1/"):
            view: Any = pattern.callback
            methods = [
                m for m in ("get", "post", "put", "patch", "delete") if hasattr(view.view_class, m)
            ]
            names = tuple(pattern.pattern.converters)
            yield Route(path.removeprefix("api/v1/"), names, tuple(m.upper() for m in methods))


def ask(merchant: SigningClient, method: str, path: str) -> Any:
    if method == "GET":
        return merchant.get(path)
    body = json.dumps({"idempotencyKey": f"{method} {path}"[:128]}).encode()
    return merchant.send(method, path, body, HTTP_PREFER="wait=0")


@pytest.fixture
def objects(merchant: SigningClient) -> dict[str, str]:
    """What a merchant has, by the name of the parameter that asks for it."""
    payment = merchant.post("/payments", payment_body(description="private")).json()
    address = f"/payments/{payment['paymentId']}"
    for verb, amount in (("capture", "9.00"), ("refund", "1.00")):
        drain()
        body = {"idempotencyKey": verb, "amount": amount}
        part = body | ({"finalCapture": False} if verb == "capture" else {})
        moved = merchant.post(f"{address}/{verb}", part, HTTP_PREFER="wait=0")
        assert moved.status_code == 202, moved.content
    wallet = {"provider": "paywave", "walletId": "7"}
    stored = merchant.post("/tokens", {"idempotencyKey": "t", "type": "WALLET", "wallet": wallet})
    rotated = merchant.post("/merchants/keys/rotate", {"idempotencyKey": "rotate"})
    merchant.api_key = rotated.json()["apiKey"]  # the old key is the one to ask for
    drain()
    return {
        "payment_id": payment["paymentId"],
        "refund_id": moved.json()["refundId"],
        "token": stored.json()["token"],
        "correlation_id": payment["correlationId"],
        "key_id": merchant.get("/merchants/keys").json()["data"][-1]["apiKeyId"],
    }


class TestRoutes:
    def test_are_all_here(self) -> None:
        paths = {route.path for route in routes()}
        assert {"payments", "payments/<id:payment_id>", "merchants/keys/<id:key_id>"} <= paths
        assert {
            f"payments/<id:payment_id>/{verb}" for verb in ("capture", "void", "refund")
        } <= paths
        assert {"refunds/<id:refund_id>", "tokens/<str:token>"} <= paths
        assert len([route for route in routes() if route.parameters]) >= 10

    def test_answer_nobody_who_did_not_sign(self, objects: dict[str, str]) -> None:
        before = Written.now()
        for route in routes():
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                answer = Client().generic(method, "/api/v1" + route.at(**objects))
                refused(answer, 401, "invalid_signature")
        assert Written.now() == before


class TestAnotherMerchantsObject:
    def test_is_answered_as_one_that_does_not_exist(
        self, merchant: SigningClient, other: SigningClient, objects: dict[str, str]
    ) -> None:
        before, asked = Written.now(), 0
        for route in routes():
            for name in route.parameters:
                for method in route.methods:
                    theirs = self.told(other, method, route.at(**objects))
                    for unknown in (str(uuid4()), "x", objects[name].upper(), "%00"):
                        path = route.at(**objects | {name: unknown})
                        assert self.told(other, method, path) == theirs, (method, path)
                    assert theirs[0] == 404
                    asked += 1
        assert asked >= 10
        assert Written.now() == before

    def test_is_there_for_its_merchant(
        self, merchant: SigningClient, objects: dict[str, str]
    ) -> None:
        """So that the test above cannot pass because nothing is found by anybody."""
        for route in routes():
            if route.parameters:
                for method in route.methods:
                    answer = ask(merchant, method, route.at(**objects))
                    # 409: it is there, and its status or what went before it refuses this.
                    assert answer.status_code in (200, 202, 204, 409), (method, route.path)

    def test_stands_in_no_list(
        self, merchant: SigningClient, other: SigningClient, objects: dict[str, str]
    ) -> None:
        private = {*objects.values(), merchant.merchant_id, "private"}
        read = [route for route in routes() if "GET" in route.methods]
        seen = "".join(merchant.get(route.at(**objects)).content.decode() for route in read)
        lists = [route.at() for route in read if not route.parameters]
        assert len(lists) >= 5
        for path in lists:
            theirs = other.get(path)
            assert theirs.status_code == 200
            assert not [text for text in private if text in theirs.content.decode()], path
        assert all(text in seen for text in private)

    def told(self, merchant: SigningClient, method: str, path: str) -> tuple[int, bytes, Any]:
        """All that an answer tells, but for the correlation ids."""
        answer = ask(merchant, method, path)
        correlation_id = problem_in(answer)["correlationId"]
        headers = {k: v for k, v in answer.headers.items() if k != "X-Correlation-ID"}
        return answer.status_code, answer.content.replace(correlation_id.encode(), b""), headers
