"""Secrets go in and come out nowhere: logs, tables, e-mails, answers (S rows, F100, F101)."""

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.core import mail
from django.db import connection
from django.test import Client

from shared.event_bus import drain
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant, send_v2
from shared.testing.signing import JSON, SigningClient, v1_signature

pytestmark = pytest.mark.django_db

PAN = "4111111111111111"
CVC = "cvc-98765"


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """All that is logged, of every level, as it is written."""
    written, root = io.StringIO(), logging.getLogger()
    formatter = next(h.formatter for h in root.handlers if "Processor" in repr(h.formatter))
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


def every_row() -> str:
    """Every column of every table, as text; bytes in hex."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = []
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT t::text FROM {table} AS t")  # one module per statement
            rows += [f"{table}: {row}" for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def spellings(secret: str) -> list[str]:
    raw = secret.encode()
    return [secret, raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-1]]


def found(secrets: dict[str, str], text: str) -> list[str]:
    return [
        name
        for name, secret in secrets.items()
        if any(spelling in text for spelling in spellings(secret))
    ]


class Recorder:
    """A merchant's client that keeps what it signed and what it was told."""

    def __init__(self, merchant: SigningClient) -> None:
        self.merchant, self.signatures = merchant, []
        self.told: list[str] = []
        for version in ("signed_headers", "signed_headers_v2"):
            setattr(merchant, version, self.recorded(getattr(merchant, version)))

    signatures: list[str]

    def recorded(self, sign: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
        def signed(*arguments: Any, **options: Any) -> dict[str, str]:
            headers = sign(*arguments, **options)
            self.signatures.append(headers["HTTP_X_SIGNATURE"].removeprefix("v2="))
            return headers

        return signed

    def note(self, answer: Any) -> Any:
        self.told.append(answer.content.decode() + str(dict(answer.headers)))
        return answer


class TestSecrets:
    def test_come_out_nowhere(self, logs: io.StringIO) -> None:
        merchant = registered_merchant()
        me, first_key = Recorder(merchant), merchant.api_key
        rotated = merchant.post("/merchants/keys/rotate", {"idempotencyKey": "rotate"})
        second_key = rotated.json()["apiKey"]
        for key in (first_key, second_key):
            merchant.api_key = key
            me.note(merchant.get("/merchants/me"))
            me.note(merchant.get("/merchants/keys"))
            me.note(merchant.post("/payments", payment_body()))
            me.note(merchant.post("/payments/cancel-by-key", {"idempotencyKey": key[-9:]}))
            self.try_card_numbers(me)
            self.try_mistakes(me)
        drain()
        for path in ("/payments", "/audit/events", "/ledger/balances", "/merchants/keys"):
            me.note(merchant.get(path))
        drain()

        secrets = {"first key": first_key, "second key": second_key, "PAN": PAN, "CVC": CVC}
        secrets |= {"first secret": first_key[14:], "second secret": second_key[14:]}
        secrets |= {f"signature {n}": text for n, text in enumerate(me.signatures)}
        e_mails = "\n".join(str(message.message()) for message in mail.outbox)
        assert len(me.signatures) > 20
        assert mail.outbox
        assert "unanticipated" not in logs.getvalue()
        assert found(secrets, logs.getvalue()) == []
        assert found(secrets, every_row()) == []
        assert found(secrets, e_mails) == []
        assert found(secrets, "\n".join(me.told)) == []

    def try_card_numbers(self, me: Recorder) -> None:
        card = {"number": PAN, "cvc": CVC}
        for change in (
            {"description": PAN},
            {"metadata": {"card": PAN}},
            {"metadata": {PAN: "card"}},
            {"paymentMethod": {"type": "CARD", "token": PAN}},
            {"paymentMethod": {"type": PAN, "token": "tok_test"}},
            {"paymentMethod": {"type": "CARD", "token": "tok_test", "card": card}},
            {"card": card},
            {PAN: CVC},
            {"idempotencyKey": PAN},
            {"amount": PAN},
            {"currency": PAN},
            {"payeeAccountId": PAN},
        ):
            assert me.note(me.merchant.post("/payments", payment_body(**change))).status_code == 400
        me.note(me.merchant.get(f"/payments/{PAN}"))
        me.note(me.merchant.get(f"/payments?{PAN}={PAN}"))
        me.note(me.merchant.send("POST", "/payments", f'{{"number": {PAN}'.encode()))
        body = payment_body()
        del body["idempotencyKey"]
        me.note(send_v2(me.merchant, "POST", "/payments", json.dumps(body).encode(), key=PAN))
        for field in ("name", "email"):
            account = {"name": "Acme", "email": "x@example.com"} | {field: f"{PAN}@example.com"}
            me.note(Client().post("/api/v1/merchants/register", account, content_type=JSON))

    def try_mistakes(self, me: Recorder) -> None:
        """What a developer does wrong, with the secret where it should not be."""
        merchant, key = me.merchant, me.merchant.api_key
        for header in ("HTTP_X_SIGNATURE", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY"):
            me.note(merchant.send("GET", "/payments", b"", **{header: key}))
        me.note(merchant.get(f"/{key}"))
        me.note(merchant.get(f"/payments?{key}=1"))
        me.note(merchant.post("/payments", payment_body() | {key: key}))
        me.note(merchant.post("/payments", payment_body(amount=key)))
        me.note(merchant.post("/payments", payment_body(currency=key)))
        me.note(merchant.post("/payments", payment_body(paymentMethod={"type": key, "token": "t"})))
        me.note(merchant.send("POST", "/sandbox/signature-check", b"{}"))
        me.note(merchant.send("POST", "/sandbox/signature-check", b"{}", HTTP_X_SIGNATURE=key))


class TestCanary:
    """The naive twin: each place, with a secret put into it, is found out."""

    def test_sings_for_a_log_line(self, logs: io.StringIO) -> None:
        logging.getLogger("somebody").info("the card is %s", PAN)
        assert found({"PAN": PAN}, logs.getvalue()) == ["PAN"]

    def test_sings_for_a_row_in_any_spelling(self) -> None:
        merchant = registered_merchant()
        signature = v1_signature(merchant.api_key, "1700000000", b"{}")
        merchant.post("/payments", payment_body(description=signature, metadata={"k": "v"}))
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.idempotency_record SET response = %s", [merchant.api_key.encode()]
            )
        secrets = {"key": merchant.api_key, "signature": signature}
        assert found(secrets, every_row()) == ["key", "signature"]


class TestLogs:
    def test_blank_what_looks_like_a_key_wherever_it_stands(self, logs: io.StringIO) -> None:
        key = registered_merchant().api_key
        log = structlog.get_logger("somebody")
        said = f"the key is {key}"
        log.warning(said, note=said, api_key="x-secret", signature="y-secret")
        logging.getLogger("library").warning("the key is %s", key)
        try:
            raise RuntimeError(key)
        except RuntimeError:
            log.exception("broken")
        assert "[redacted]" in logs.getvalue()
        for secret in (key, "x-secret", "y-secret"):
            assert secret not in logs.getvalue()


class TestEMails:
    def test_have_one_line_headers_whatever_a_merchant_is_called(self) -> None:
        merchant = registered_merchant("Ünï “Söhne” <b>& Co</b> =?utf-8?q?x?=")
        merchant.post("/payments", payment_body(description="a\r\nBcc: evil@example.com"))
        drain()
        assert mail.outbox
        for message in mail.outbox:
            sent = message.message()
            assert "evil" not in str(sent["Bcc"])
            assert all("\n" not in str(value).replace("\n ", "") for _, value in sent.items())
            assert isinstance(message, mail.EmailMultiAlternatives)
            assert "<b>& Co" not in str(message.alternatives[0][0])

    def test_are_told_by_events_without_secrets(self) -> None:
        merchant = registered_merchant()
        merchant.post("/merchants/keys/rotate", {"idempotencyKey": "rotate"})
        drain()
        assert {"pk_test_"} == {
            e.payload.get("api_key_prefix", "pk_test_")[:8] for e in Event.objects.all()
        }
