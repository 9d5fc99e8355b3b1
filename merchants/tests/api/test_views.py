"""Registration and keys over HTTP."""

import json
from typing import Any

import pytest
from django.test import Client

from merchants.models import ApiKey, Merchant
from merchants.tests.keys import rotate
from shared import clock
from shared.testing.api import Written, refused
from shared.testing.signing import JSON, SigningClient

pytestmark = pytest.mark.django_db


def register(body: Any) -> Any:
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    return client.post("/api/v1/merchants/register", body, content_type=JSON)


class TestRegister:
    def test_shows_the_key_once(self) -> None:
        answer = register({"name": "Acme Corp", "email": "merchant@example.com"})
        assert answer.status_code == 201
        shown = answer.json()
        assert shown.keys() == {
            *("merchantId", "name", "email", "apiKey", "apiKeyId", "apiKeyExpiresAt")
        }
        merchant = SigningClient(shown["merchantId"], shown["apiKey"])
        for path in ("/merchants/me", "/merchants/keys"):
            assert shown["apiKey"] not in merchant.get(path).content.decode()

    def test_refuses_a_known_address(self) -> None:
        register({"name": "Acme", "email": "merchant@example.com"})
        before = Written.now()
        refused(register({"name": "A", "email": "Merchant@Example.com"}), 409, "merchant_exists")
        assert Written.now() == before

    @pytest.mark.parametrize(
        "name", ["Acme", "Ünï & <b>Söhne</b>", "株式会社", "O'Brien; DROP TABLE", "😀" * 200, " A "]
    )
    def test_takes_any_line(self, name: str) -> None:
        answer = register({"name": name, "email": "a@example.com"})
        assert answer.status_code == 201
        assert answer.json()["name"] == name

    def test_refuses_what_is_no_name(self) -> None:
        before = Written.now()
        strange: list[Any] = [
            "",
            " ",
            "\t",
            "a\nb",
            "a\r\nBcc: x@y",
            "a\0",
            "\u202ecorp",
            "\x1b[31m",
        ]
        for name in [*strange, "x" * 201, "a\u2028b", "\ud800", None, 1, True, [], {}, ["Acme"]]:
            answer = register({"name": name, "email": "a@example.com"})
            assert answer.status_code == 400, ascii(name)
        assert Written.now() == before

    @pytest.mark.parametrize(
        "email", ["a@example.com", "a.b+c@sub.example.co", "a@exämple.com", "o'hara@example.com"]
    )
    def test_takes_an_address(self, email: str) -> None:
        answer = register({"name": "Acme", "email": email})
        assert answer.status_code == 201
        assert answer.json()["email"] == email

    def test_refuses_what_is_no_address(self) -> None:
        before = Written.now()
        strange: list[Any] = ["", " ", "a", "a@", "@b", "a@b", "a@b@c.com", "a b@example.com"]
        strange += ["a@example.com\n", "a@example.com\r\nBcc: b@example.com", " a@example.com"]
        strange += [
            '"\x01"@example.com',
            '"\x0b"@example.com',
            '"\x7f"@example.com',
            "a@example.com\0",
        ]
        strange += ["a@example.com,b@example.com", "A <a@example.com>", "a@[300.1.1.1]", "a@-x.com"]
        strange += ["x" * 250 + "@example.com", "a@" + "x" * 64 + ".com", "\ud800@example.com"]
        for email in [*strange, None, 1, True, [], {}, ["a@example.com"], {"a": "b"}]:
            answer = register({"name": "Acme", "email": email})
            assert answer.status_code == 400, ascii(email)
        assert Written.now() == before

    def test_refuses_fields_it_does_not_know(self) -> None:
        strange: list[dict[str, Any]] = [{"id": "x"}, {"isAdmin": True}, {"__proto__": {}}]
        for more in strange:
            body = {"name": "Acme", "email": "a@example.com"} | more
            refused(register(body), 400, "unknown_field")


class TestMe:
    def test_is_the_caller(self, merchant: SigningClient, other: SigningClient) -> None:
        shown = [someone.get("/merchants/me").json() for someone in (merchant, other)]
        assert [one["name"] for one in shown] == ["Acme Corp", "Other Ltd"]
        assert [one["minimumSignatureVersion"] for one in shown] == [1, 1]


class TestKeys:
    def test_are_listed_newest_first_without_secrets(self, merchant: SigningClient) -> None:
        renewed = rotate(merchant, 3600)
        keys = merchant.get("/merchants/keys").json()["data"]
        assert [key["prefix"] for key in keys] == [renewed.api_key[:14], merchant.api_key[:14]]
        assert [key["active"] for key in keys] == [True, True]
        assert keys[0]["lastUsedAt"] is None
        assert keys[1]["lastUsedAt"] is not None
        assert keys[0].keys() == {
            *("apiKeyId", "prefix", "active", "createdAt", "expiresAt", "lastUsedAt")
        }

    def test_come_in_pages(self, merchant: SigningClient, other: SigningClient) -> None:
        renewed = merchant
        for number in range(4):
            renewed = rotate(renewed, 0, f"rotate-{number}")
        found, sizes = [], []
        cursor: str | None = ""
        while cursor is not None:
            answer = renewed.get(f"/merchants/keys?limit=2{cursor}").json()
            assert answer.keys() == {"data", "nextCursor"}
            found += [key["apiKeyId"] for key in answer["data"]]
            sizes.append(len(answer["data"]))
            cursor = answer["nextCursor"] and f"&cursor={answer['nextCursor']}"
        mine = ApiKey.objects.filter(merchant_id=merchant.merchant_id)
        assert found == [str(key.pk) for key in mine.order_by("-created_at", "-pk")]
        assert sizes == [2, 2, 1]

    def test_are_twenty_unless_told_otherwise(self, merchant: SigningClient) -> None:
        acme = Merchant.objects.get()
        for _ in range(25):
            ApiKey.issue(merchant=acme, now=clock.now())[0].revoke(now=clock.now())
        answer = merchant.get("/merchants/keys").json()
        assert len(answer["data"]) == 20
        assert answer["nextCursor"]
        refused(merchant.get("/merchants/keys?limit=101"), 400, "invalid_query")
        refused(merchant.get("/merchants/keys?all=1"), 400, "invalid_query")


class TestRotate:
    def test_refuses_what_is_no_number_of_seconds(self, merchant: SigningClient) -> None:
        before = Written.now()
        strange = ["60", "", True, False, None, -1, 2_592_001, 10**30, 10**4000, [], {}, [60]]
        for number in (*map(json.dumps, strange), "60.0", "6e1", "1e400", "0.5"):
            body = '{"idempotencyKey": "k", "overlapSeconds": ' + number + "}"
            answer = merchant.send("POST", "/merchants/keys/rotate", body.encode())
            refused(answer, 400, "validation_failed")
        assert Written.now() == before

    def test_refuses_fields_it_does_not_know(self, merchant: SigningClient) -> None:
        body = {"idempotencyKey": "k", "apiKey": "pk_test_mine"}
        refused(merchant.post("/merchants/keys/rotate", body), 400, "unknown_field")


class TestRevoke:
    def test_demands_a_key_in_the_body(self, merchant: SigningClient) -> None:
        (key,) = merchant.get("/merchants/keys").json()["data"]
        path = f"/merchants/keys/{key['apiKeyId']}"
        refused(merchant.send("DELETE", path, b""), 400, "idempotency_key_required")
        refused(merchant.send("DELETE", path, b"{}"), 400, "idempotency_key_required")
        refused(merchant.send("DELETE", path, b"[]"), 400, "malformed_body")
