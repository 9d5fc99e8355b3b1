"""Idempotency keys: one effect and one answer per (merchant, key)."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction

from shared.event_bus import drain
from shared.testing.api import (
    Written,
    payment_body,
    problem_in,
    refused,
    registered_merchant,
    send_v2,
)
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

KEY = "key-001"


@dataclass(frozen=True)
class Told:
    """What a caller learns."""

    status: int
    body: bytes
    is_replay: bool

    @classmethod
    def by(cls, answer: Any) -> "Told":
        return cls(answer.status_code, answer.content, "Idempotent-Replayed" in answer.headers)


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        return int(cursor.fetchone()[0])


def record(merchant: SigningClient, key: str = KEY) -> tuple[int | None, bytes | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, response FROM shared.idempotency_record"
            " WHERE merchant_id = %s AND key = %s",
            [merchant.merchant_id, key],
        )
        status, response = cursor.fetchone()
    return status, None if response is None else bytes(response)


def execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def decided(merchant: SigningClient, body: dict[str, Any]) -> Any:
    """The stored answer to a payment: the one to whoever looks first after the decision."""
    merchant.post("/payments", body)
    drain()
    answer = merchant.post("/payments", body)
    assert answer.status_code == 201
    return answer


class TestReplay:
    def test_says_the_same_bytes_after_the_payment_moved_on(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        first = decided(merchant, body)
        address = f"/payments/{first.json()['paymentId']}"
        merchant.post(f"{address}/void", {"idempotencyKey": "void"}, HTTP_PREFER="wait=0")
        drain()
        repeated = merchant.post("/payments", body)
        assert Told.by(repeated) == Told(201, first.content, is_replay=True)
        for header in ("Location", "X-Correlation-ID"):
            assert repeated.headers[header] == first.headers[header]
        shown = merchant.get(address).json()
        assert (first.json()["status"], shown["status"]) == ("AUTHORISED", "VOIDED")
        assert count("payments.payment") == 1

    def test_looks_at_fields_not_at_spelling(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY, metadata={"a": "1", "b": "ü"})
        spelt_otherwise = json.dumps(dict(reversed(body.items())), indent=3, ensure_ascii=False)
        first = decided(merchant, body)
        for spelling in (spelt_otherwise, spelt_otherwise + "\n"):
            repeated = merchant.send("POST", "/payments", spelling.encode())
            assert Told.by(repeated) == Told(201, first.content, is_replay=True)

    def test_does_not_look_at_prefer(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        first = decided(merchant, body)
        repeated = merchant.post("/payments", body, HTTP_PREFER="wait=1")
        assert Told.by(repeated) == Told(201, first.content, is_replay=True)

    def test_repeats_an_answer_without_a_body(self, merchant: SigningClient) -> None:
        old_key = merchant.get("/merchants/keys").json()["data"][0]["apiKeyId"]
        merchant.api_key = merchant.post(
            "/merchants/keys/rotate", {"idempotencyKey": "rotate"}
        ).json()["apiKey"]
        told = [
            Told.by(merchant.delete(f"/merchants/keys/{old_key}", {"idempotencyKey": KEY}))
            for _ in range(2)
        ]
        assert told == [Told(204, b"", is_replay=False), Told(204, b"", is_replay=True)]

    @pytest.mark.parametrize(
        "paths",
        [("/payments", "/payments/authorize"), ("/payments/authorize", "/payments")],
        ids=" then ".join,
    )
    def test_knows_one_operation_by_both_of_its_addresses(
        self, merchant: SigningClient, paths: tuple[str, str]
    ) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post(paths[0], body, HTTP_PREFER="wait=0")
        drain()
        told = [Told.by(merchant.post(path, body)) for path in (*paths, *paths)]
        assert told[0].body == told[1].body == told[2].body == told[3].body
        assert all(one.is_replay for one in told[1:])
        assert count("payments.payment") == 1
        before = Written.now()
        for path in paths:
            other = merchant.post(path, body | {"amount": "250.01"})
            refused(other, 409, "idempotency_key_reused")
        assert Written.now() == before

    def test_needs_no_body_where_a_signed_header_has_the_key(self, merchant: SigningClient) -> None:
        old_key = merchant.get("/merchants/keys").json()["data"][0]["apiKeyId"]
        rotated = send_v2(merchant, "POST", "/merchants/keys/rotate", key="rotate").json()
        merchant.api_key = rotated["apiKey"]
        wallet = {"type": "WALLET", "wallet": {"provider": "paywave", "walletId": "7"}}
        token = merchant.post("/tokens", wallet | {"idempotencyKey": "t"}).json()["token"]
        for path in (f"/merchants/keys/{old_key}", f"/tokens/{token}"):
            told = [Told.by(send_v2(merchant, "DELETE", path, key=path)) for _ in range(2)]
            assert told == [Told(204, b"", is_replay=False), Told(204, b"", is_replay=True)]
            refused(send_v2(merchant, "DELETE", path), 400, "idempotency_key_required")

    def test_shows_a_new_secret_again(self, merchant: SigningClient) -> None:
        first, repeated = (
            merchant.post("/merchants/keys/rotate", {"idempotencyKey": KEY}) for _ in range(2)
        )
        assert Told.by(repeated) == Told(201, first.content, is_replay=True)
        assert count("merchants.api_key") == 2


SAME_PAYEE = {"payeeAccountId": "01890a5d-ac96-774b-bcce-b302099a8057"}


class TestReuse:
    @pytest.mark.parametrize(
        "change",
        [
            {"amount": "250.01"},
            {"currency": "EUR"},
            {"payeeAccountId": "01890a5d-ac96-774b-bcce-b302099a8057"},
            {"description": "another"},
            {"metadata": {"order": "2"}},
            {"paymentMethod": {"type": "WALLET", "token": "tok_test"}},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_of_a_key_for_another_request_is_refused(
        self, merchant: SigningClient, change: dict[str, Any]
    ) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        before = Written.now()
        refused(merchant.post("/payments", body | change), 409, "idempotency_key_reused")
        assert Written.now() == before

    @pytest.mark.parametrize("amount", ["250", "250.0", "250.00"])
    def test_is_about_values_and_not_how_they_are_written(
        self, merchant: SigningClient, amount: str
    ) -> None:
        first = merchant.post("/payments", payment_body(idempotencyKey=KEY) | SAME_PAYEE)
        again = payment_body(idempotencyKey=KEY, amount=amount) | SAME_PAYEE
        repeat = merchant.post("/payments", dict(reversed(again.items())))
        assert (repeat.status_code, repeat.json()) == (202, first.json())

    def test_at_another_address_is_refused(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        refused(
            merchant.post("/merchants/keys/rotate", {"idempotencyKey": KEY}),
            409,
            "idempotency_key_reused",
        )

    def test_by_another_merchant_never_meets(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        body = payment_body(idempotencyKey=KEY)
        answers = [someone.post("/payments", body) for someone in (merchant, other)]
        assert [Told.by(answer).is_replay for answer in answers] == [False, False]
        assert [answer.json()["merchantId"] for answer in answers] == [
            merchant.merchant_id,
            other.merchant_id,
        ]
        assert other.post("/payments", body).content == answers[1].content

    def test_is_refused_when_the_answer_is_no_longer_kept(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        merchant.post("/payments", body)
        execute("DELETE FROM shared.idempotency_record")
        before = Written.now()
        refused(merchant.post("/payments", body), 409, "idempotency_key_expired")
        assert Written.now() == before


class TestKey:
    def test_is_required(self, merchant: SigningClient) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        refused(merchant.post("/payments", body), 400, "idempotency_key_required")
        refused(
            send_v2(merchant, "POST", "/payments", json.dumps(body).encode()),
            400,
            "idempotency_key_required",
        )
        refused(
            merchant.send("POST", "/merchants/keys/rotate", b""), 400, "idempotency_key_required"
        )

    def test_in_a_header_that_nobody_signed_is_refused(self, merchant: SigningClient) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        answer = merchant.post("/payments", body, HTTP_IDEMPOTENCY_KEY=KEY)
        refused(answer, 400, "idempotency_key_unsigned")
        assert count("shared.idempotency_record") == 0

    def test_in_a_signed_header_suffices(self, merchant: SigningClient) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        raw = json.dumps(body).encode()
        told = [Told.by(send_v2(merchant, "POST", "/payments", raw, key=KEY)) for _ in range(2)]
        assert told[0].body == told[1].body
        assert count("payments.payment") == 1

    def test_in_body_and_header_must_be_the_same(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        for header in ("key-002", "", KEY + " ", f"{KEY},{KEY}", "ключ"):
            answer = merchant.post("/payments", body, HTTP_IDEMPOTENCY_KEY=header)
            refused(answer, 400, "idempotency_key_mismatch")
        assert merchant.post("/payments", body, HTTP_IDEMPOTENCY_KEY=KEY).status_code == 202

    def test_may_be_any_printable_ascii(self, merchant: SigningClient) -> None:
        for key in ("x", " ", " a b ", "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}", "k" * 128):
            answer = merchant.post("/payments", payment_body(idempotencyKey=key))
            assert answer.status_code == 202, key

    def test_may_not_be_anything_else(self, merchant: SigningClient) -> None:
        before = Written.now()
        strange = ["", "k" * 129, "a\tb", "a\nb", "\x7f", "\x1b[31m", "ключ", "é", 1, True, None]
        for key in [*strange, [], {}, ["key"], 1.5]:
            refused(
                merchant.post("/payments", payment_body(idempotencyKey=key)),
                400,
                "validation_failed",
            )
        assert Written.now() == before

    def test_in_a_signed_header_obeys_the_same_rule(self, merchant: SigningClient) -> None:
        body = payment_body()
        del body["idempotencyKey"]
        raw = json.dumps(body).encode()
        for key in ("k" * 129, "a\tb", "é"):
            answer = send_v2(merchant, "POST", "/payments", raw, key=key)
            assert problem_in(answer)["code"] in ("idempotency_key_required", "invalid_signature")
        assert count("shared.idempotency_record") == 0


class TestRefusal:
    def test_leaves_the_key_free(self, merchant: SigningClient) -> None:
        only_key = merchant.get("/merchants/keys").json()["data"][0]["apiKeyId"]
        last = merchant.delete(f"/merchants/keys/{only_key}", {"idempotencyKey": KEY})
        refused(last, 409, "last_active_key")
        gone = merchant.delete(f"/merchants/keys/{uuid4()}", {"idempotencyKey": KEY})
        refused(gone, 404, "api_key_not_found")
        wrong = merchant.post("/payments", payment_body(idempotencyKey=KEY, amount="0"))
        refused(wrong, 400, "validation_failed")
        right = merchant.post("/payments", payment_body(idempotencyKey=KEY))
        assert Told.by(right) == Told(202, right.content, is_replay=False)


class TestStoredAnswer:
    def test_is_sealed(self, merchant: SigningClient) -> None:
        rotated = merchant.post("/merchants/keys/rotate", {"idempotencyKey": KEY}).json()
        status, stored = record(merchant)
        assert status == 201
        assert stored is not None
        for secret in (rotated["apiKey"], rotated["apiKeyId"], "apiKey"):
            assert secret.encode() not in stored

    def test_opens_for_its_merchant_and_key_only(
        self, merchant: SigningClient, other: SigningClient
    ) -> None:
        body = payment_body(idempotencyKey=KEY)
        for someone in (merchant, other):
            decided(someone, body)
        _, stored = record(merchant)
        execute("UPDATE shared.idempotency_record SET response = %s", stored)
        answer = other.post("/payments", body)
        assert answer.status_code == 500  # somebody wrote to the table: nothing is disclosed
        assert merchant.merchant_id.encode() not in answer.content
        assert Told.by(merchant.post("/payments", body)).is_replay

    def test_keeps_only_a_keyed_fingerprint_of_the_request(self, merchant: SigningClient) -> None:
        merchant.post("/payments", payment_body(idempotencyKey=KEY, description="for my eyes"))
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM shared.idempotency_record")
            (row,) = cursor.fetchall()
        assert b"for my eyes" not in b"".join(
            bytes(v) for v in row if isinstance(v, memoryview | bytes)
        )


class TestFirstRequestStillRunning:
    def test_is_told_after_two_seconds(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute(
                "INSERT INTO shared.idempotency_record (merchant_id, key, fingerprint, expires_at)"
                " VALUES (%s, %s, '', now())",
                [merchant.merchant_id, KEY],
            )
            asked_at = time.monotonic()
            answer = merchant.post("/payments", body)
            assert time.monotonic() - asked_at >= 2
            refused(answer, 409, "idempotency_key_in_use")
            assert answer.headers["Retry-After"] == "1"
            transaction.set_rollback(True, using="owner")
        assert merchant.post("/payments", body).status_code == 202

    def test_lets_a_repeat_join_its_wait(self, merchant: SigningClient) -> None:
        body = payment_body(idempotencyKey=KEY)
        ask = partial(merchant.post, "/payments", body, HTTP_PREFER="wait=20")
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(in_own_connection, ask)
            until(lambda: count("shared.idempotency_record") == 1)
            repeat = pool.submit(in_own_connection, ask)
            drain()
            told = [Told.by(first.result(20)), Told.by(repeat.result(20))]
        assert [one.status for one in told] == [201, 201]
        assert told[0].body == told[1].body
        assert b'"AUTHORISED"' in told[0].body
        assert [one.is_replay for one in told] == [False, True]
        assert count("payments.payment") == 1


def in_own_connection(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connections.close_all()


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# The race -----------------------------------------------------------------------------------------

RUNNERS = 32


def assert_one_effect(told: Sequence[Told], effects: int, status: int = 202) -> None:
    """What must hold of a request that was sent many times at once."""
    assert effects == 1, f"{effects} effects"
    assert {one.status for one in told} == {status}, sorted(one.status for one in told)
    assert len({one.body for one in told}) == 1
    assert {one.is_replay for one in told} == {status != 202}


class TestRace:
    def test_has_one_effect_and_one_answer(self) -> None:
        merchant = registered_merchant()
        body = payment_body(idempotencyKey=KEY)

        def ask() -> Told:
            client = SigningClient(merchant.merchant_id, merchant.api_key)
            return Told.by(client.post("/payments", body))

        told = race([ask] * RUNNERS)
        assert_one_effect(told, count("payments.payment"))
        assert count("shared.idempotency_record") == 1
        assert count("shared.event") == 2  # the merchant's and the payment's

    def test_would_fail_if_the_key_were_looked_up_first(self) -> None:
        """The naive twin: look, then insert, with the same unique constraint as a safety net."""
        merchant_id, all_looked = uuid4(), threading.Barrier(RUNNERS, timeout=30)

        told = race([partial(look_then_insert, merchant_id, all_looked)] * RUNNERS)
        with pytest.raises(AssertionError):
            assert_one_effect(told, count("shared.idempotency_record"))
        assert sorted({one.status for one in told}) == [202, 500]


def look_then_insert(merchant_id: UUID, all_looked: threading.Barrier) -> Told:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT response FROM shared.idempotency_record WHERE merchant_id = %s AND key = %s",
            [merchant_id, KEY],
        )
        found = cursor.fetchone()
    all_looked.wait()
    if found:
        return Told(202, bytes(found[0]), is_replay=True)
    body = str(uuid4()).encode()
    try:
        execute(
            "INSERT INTO shared.idempotency_record"
            " (merchant_id, key, fingerprint, status, response, expires_at)"
            " VALUES (%s, %s, '', 202, %s, now())",
            merchant_id,
            KEY,
            body,
        )
    except IntegrityError:
        return Told(500, b"", is_replay=False)
    return Told(202, body, is_replay=False)
