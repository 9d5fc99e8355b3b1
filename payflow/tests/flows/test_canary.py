"""A card number, put everywhere a text goes in, comes out nowhere: S rows, with twins that sing."""

import base64
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from payflow.tests.endpoints import address, routes
from payflow.tests.flows.canary import CVC, MISTYPED, PAID, PAN, every_row, found_in, leaks
from payments.models import Payment, Token
from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant, send_v2
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

HEADERS = """
    HTTP_X_MERCHANT_ID HTTP_X_TIMESTAMP HTTP_X_SIGNATURE HTTP_X_CORRELATION_ID HTTP_PREFER
    HTTP_IDEMPOTENCY_KEY HTTP_AUTHORIZATION HTTP_USER_AGENT HTTP_REFERER HTTP_COOKIE HTTP_ACCEPT
    HTTP_HOST HTTP_ORIGIN CONTENT_TYPE HTTP_X_FORWARDED_FOR
"""

# In every request another text, so that no refusal hides what the next one would have done.
_FRESH = "<fresh>"
_KEY = {"idempotencyKey": _FRESH}
_PAYMENT = (
    payment_body()
    | _KEY
    | {
        "capture": False,
        "captureBefore": clock.iso(clock.now() + timedelta(days=2)),
        "returnUrl": "https://shop.example/back",
        "description": "a book",
        "metadata": {"order": "1001"},
    }
)
_BANK_PAYMENT = _PAYMENT | {"paymentMethod": {"type": "NETBANKING", "bankCode": "GOOD"}}
_CARD = {"number": PAN, "expMonth": 1, "expYear": 2040, "cvc": "12", "holder": "Ada"}
# Every request that changes something, with every field that it takes. One of each is accepted as
# it is: what makes the others refused must be what is planted into them.
BODIES: dict[str, list[dict[str, Any]]] = {
    "POST merchants/register": [{"name": "Acme", "email": f"{_FRESH}@example.com"}],
    "POST merchants/keys/rotate": [_KEY | {"overlapSeconds": 2_000_000}],
    "DELETE merchants/keys/<id:key_id>": [_KEY],
    "POST sandbox/signature-check": [{"anything": "text"}],
    "POST payments": [_PAYMENT, _BANK_PAYMENT],
    "POST payments/authorize": [_PAYMENT, _BANK_PAYMENT],
    "POST payments/cancel-by-key": [_KEY | {"cancelKey": "key"}],
    "POST payments/<id:payment_id>/capture": [
        _KEY | {"amount": "1.00", "finalCapture": False, "metadata": {"a": "b"}, "dryRun": False}
    ],
    "POST payments/<id:payment_id>/refund": [
        _KEY | {"amount": "1.00", "reason": "why", "metadata": {"a": "b"}, "dryRun": False}
    ],
    "POST payments/<id:payment_id>/void": [_KEY | {"dryRun": False}],
    "POST processor-callbacks/<slug:processor>": [{"key": "operation", "status": "APPROVED"}],
    "POST tokens": [
        _KEY | {"type": "CARD", "card": _CARD | {"cvc": CVC}},
        _KEY | {"type": "CARD", "card": _CARD},
        _KEY | {"type": "CARD", "card": _CARD | {"cvc": CVC, "number": MISTYPED}},
        _KEY | {"type": "CARD", "card": _CARD | {"cvc": CVC, "expYear": 2020}},
        _KEY | {"type": "WALLET", "wallet": {"provider": "paywave", "walletId": "7"}},
    ],
    "DELETE tokens/<str:token>": [_KEY],
}
QUERY = "status createdFrom createdTo cursor limit eventType asOf dryRun"


@dataclass
class Visitor(SigningClient):
    """A merchant who remembers every answer."""

    told: list[str] = field(default_factory=list)

    def send_with(
        self, method: str, path: str, body: bytes, signed: dict[str, str], **headers: str
    ) -> Any:
        return self.note(super().send_with(method, path, body, signed, **headers))

    def note(self, answer: Any) -> Any:
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        self.told.append(f"{answer.status_code} {dict(answer.headers)} {body.decode()}")
        assert answer.status_code < 500, self.told[-1]
        return answer


@pytest.fixture
def visitor(db: None) -> Visitor:
    merchant = registered_merchant()
    return Visitor(merchant.merchant_id, merchant.api_key)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """All that is logged, of every level, as it is written and as it was before it is redacted."""
    written, root = io.StringIO(), logging.getLogger()
    level, formats = root.level, [next(h.formatter for h in root.handlers if h.formatter), None]
    handlers = [logging.StreamHandler(written) for _ in formats]
    for handler, formatter in zip(handlers, formats, strict=True):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


def planted(body: Any) -> Iterator[Any]:
    """The body with the number in place of each value, within it, beside it, and as a name."""
    if isinstance(body, dict):
        yield body | {PAN: "1"}
        yield body | {"number": PAN}
        for name, value in body.items():
            for changed in planted(value):
                yield body | {name: changed}
    else:
        grouped = " ".join(PAN[i : i + 4] for i in range(0, 16, 4))
        yield from (PAN, f"card {grouped} 12/40", grouped.replace(" ", "-"), int(PAN))
        yield from ([PAN], {PAN: PAN}, {"number": PAN}, f"{PAN}@example.com", f"https://x.io/{PAN}")


def freshened(body: Any) -> bytes:
    return json.dumps(body).replace(_FRESH, str(uuid4())).encode()


def try_bodies(visitor: Visitor, at: dict[str, str]) -> set[str]:
    """Send all that is in BODIES, as it is and with the number in it; what is taken as it is."""
    taken = set()
    for route, bodies in BODIES.items():
        method, path = route.split(" ")
        for body in bodies:
            for changed in (body, *planted(body)):
                answer = visitor.send(
                    method, address(path, at), freshened(changed), HTTP_PREFER="wait=1"
                )
                if changed is body and answer.status_code < 300:
                    taken.add(route)
        drain()  # a capture in flight would be in the way of the void
    unkeyed = json.dumps({"type": "CARD", "card": _CARD}).encode()
    visitor.note(send_v2(visitor, "POST", "/tokens", unkeyed, key=PAN))
    visitor.send("POST", "/tokens", f'{{"number": {PAN}'.encode())
    return taken


def try_addresses_and_headers(visitor: Visitor, at: dict[str, str]) -> None:
    for path, methods in routes().items():
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            body = b"" if method in ("GET", "OPTIONS") else b"{}"
            targets = [f"{address(path, at)}?{PAN}={PAN}", f"{address(path, at)}/{PAN}"]
            if "<" in path:
                targets.append(address(path, dict.fromkeys(at, PAN)))
            if method == "GET" and method in methods:
                targets += [f"{address(path, at)}?{name}={PAN}" for name in QUERY.split()]
            for target in targets:
                visitor.send(method, target, body)
            for header in HEADERS.split() if method in methods else ():
                value = f"wait={PAN}" if header == "HTTP_PREFER" else PAN
                visitor.send(method, address(path, at), body, **{header: value})


def tokenised(visitor: Visitor, number: str, *, key: str) -> str:
    """Send a card twice, so that the stored answer is told, too; its token."""
    card = _CARD | {"number": number, "cvc": CVC}
    body = {"idempotencyKey": key, "type": "CARD", "card": card}
    answers = [visitor.post("/tokens", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].content
    return str(answers[0].json()["token"])


def pay(visitor: Visitor, number: str) -> tuple[str, str]:
    """Tokenise a card and pay with it; the token and the payment's id."""
    token = tokenised(visitor, number, key=f"token-{number[-6:]}")
    method = {"type": "CARD", "token": token}
    answer = visitor.post("/payments", payment_body(paymentMethod=method))
    assert answer.status_code == 202, answer.content
    return token, answer.json()["paymentId"]


def live_through(visitor: Visitor) -> dict[str, str]:
    """All that a card's payments go through; what addresses need to look at one of them."""
    made = {name: pay(visitor, number) for name, number in PAID.items()}
    drain()
    token, paid = made["AUTHORISED"]
    for verb, wish in (
        ("capture", {"amount": "100.00", "finalCapture": False}),
        ("refund", {"amount": "40.00"}),
    ):
        body = {"idempotencyKey": verb} | wish
        visitor.post(f"/payments/{paid}/{verb}", body, HTTP_PREFER="wait=1")
        drain()
    deleted, _ = made["DECLINED"]
    visitor.delete(f"/tokens/{deleted}", {"idempotencyKey": "delete"})
    payment = Payment.objects.get(pk=paid)
    assert (payment.captured_minor, payment.refunded_minor) == (10_000, 4_000)
    assert Payment.objects.get(pk=made["DECLINED"][1]).status == "DECLINED"
    return {
        "payment_id": paid,
        "correlation_id": str(payment.correlation_id),
        "token": token,
        # Not the key that signs: deleting it must not end the test.
        "key_id": visitor.post("/merchants/keys/rotate", {"idempotencyKey": "r"}).json()[
            "apiKeyId"
        ],
        "refund_id": visitor.get(f"/payments/{paid}/refunds").json()["data"][0]["refundId"],
        "processor": "sandbox",
    }


class TestCardNumber:
    def test_comes_out_nowhere(self, visitor: Visitor, logs: io.StringIO) -> None:
        at = live_through(visitor)
        taken = try_bodies(visitor, at)
        try_addresses_and_headers(visitor, at)
        drain()
        at["token"] = tokenised(visitor, PAID["AUTHORISED"], key="a token that is still there")
        for path, methods in routes().items():
            if "GET" in methods:
                answer = visitor.get(address(path, at))
                assert answer.status_code in (200, 503), (path, answer.content)

        rows, e_mails = every_row(), [str(message.message()) for message in mail.outbox]
        assert len(visitor.told) > 800
        assert mail.outbox
        assert at["token"] in rows
        assert "unanticipated" not in logs.getvalue()
        assert leaks(logs.getvalue()) == []
        assert leaks(rows) == []
        assert leaks("\n".join(e_mails)) == []
        assert leaks("\n".join(visitor.told)) == []
        assert not [told for told in visitor.told if f'"{CVC}"' in told]
        # And it did come in: no other refusal was in the way of what was planted.
        assert set(BODIES) - taken == {"POST processor-callbacks/<slug:processor>"}
        for code in ("card_number_refused", "card_invalid", "unknown_field", "validation_failed"):
            assert any(f'"code": "{code}"' in told for told in visitor.told), code
        assert Token.objects.filter(last4=PAN[-4:]).exists()

    def test_is_tried_wherever_something_changes(self) -> None:
        """A new request has to be added to BODIES, with every field that it takes."""
        changing = {
            f"{method} {path}"
            for path, methods in routes().items()
            for method in methods
            if method != "GET"
        }
        assert changing == set(BODIES)

    def test_is_tried_in_every_field(self) -> None:
        document = Client().get("/api/v1/openapi.json").json()
        missing = {
            f"{method.upper()} {path}: {name}"
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for name in fields_of(operation, document)
            if name not in tried(method.upper(), path)
        }
        assert missing == set()


def fields_of(operation: Any, document: Any) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    for schema in [part.get("schema", {}) for part in content.values()]:
        yield from _names(schema, document)


def _names(schema: Any, document: Any) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for part in schema.get("allOf", ()):
        yield from _names(part, document)
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from _names(inner, document)


def tried(method: str, path: str) -> set[str]:
    shape = re.sub(r"\{\w+\}", "<>", path.removeprefix("/api/v1/"))
    bodies = [
        body
        for route, bodies in BODIES.items()
        if route.split(" ")[0] == method
        and re.sub(r"<\w+:\w+>", "<>", route.split(" ")[1]) == shape
        for body in bodies
    ]
    return {name for body in bodies for name in _names_in(body)}


def _names_in(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for name, value in body.items():
            yield name
            yield from _names_in(value)


class TestTheGrep:
    """The naive twins: each place, with a number put into it in any spelling, is found out."""

    @pytest.mark.parametrize(
        "spelt",
        [
            PAN,
            "4539 1488 0343 6467",
            "4539-1488-0343-6467",
            f"x{PAN}y",
            PAN[2:14],
            PAN.encode().hex(),
            *(base64.b64encode(b"x" * n + PAN.encode() + b"y").decode() for n in range(3)),
        ],
    )
    def test_finds_a_number_however_it_is_spelt(self, spelt: str, visitor: Visitor) -> None:
        assert PAN in found_in(f"a log line with {spelt} in it", PAN, MISTYPED)
        payment_id = visitor.post("/payments", payment_body()).json()["paymentId"]
        with connection.cursor() as cursor:
            for change in (
                "UPDATE payments.payment SET in_doubt = true WHERE %s = %s",  # nothing planted
                "UPDATE payments.payment SET processor = %s WHERE id = %s",
            ):
                cursor.execute(change, [spelt if "processor" in change else payment_id, payment_id])
                assert bool(found_in(every_row(), PAN)) == ("processor" in change)

    def test_finds_a_number_in_bytes_and_in_json(self, visitor: Visitor) -> None:
        body = {"idempotencyKey": "k", "type": "CARD", "card": _CARD | {"cvc": CVC}}
        assert visitor.post("/tokens", body).status_code == 201
        visitor.post("/payments", payment_body())
        assert found_in(every_row(), PAN) == []
        with connection.cursor() as cursor:
            cursor.execute("UPDATE payments.token SET sealed = %s", [PAN.encode()])
        assert PAN in found_in(every_row(), PAN)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE payments.token SET sealed = '\\x00'")
            assert found_in(every_row(), PAN) == []
            cursor.execute("UPDATE shared.idempotency_record SET response = %s", [PAN.encode()])
        assert PAN in found_in(every_row(), PAN)

    def test_finds_a_number_in_logs_before_and_after_they_are_redacted(
        self, logs: io.StringIO
    ) -> None:
        logging.getLogger("somebody").debug("the card is %s", PAN)
        assert PAN in found_in(logs.getvalue(), PAN)

    def test_finds_nothing_in_what_merely_has_digits(self) -> None:
        text = "2026-11-21T12:00:00.453914Z 0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11 6467 visa"
        assert found_in(text, PAN, MISTYPED, *PAID.values()) == []
