"""kill -9 of any process in the middle of 500 payments: all decided, all effects once, in order."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from email import message_from_bytes
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections

from ledger.queries import find_imbalances
from merchants.use_cases.register_merchant import register_merchant
from payflow.runtime.scratch import free_port
from payflow.tests import processes, slow_mail
from payflow.tests.processes import wait_until
from payments.use_cases.initiate_payment import Terms, initiate_payment
from shared import clock
from shared.db import run_in_transaction
from shared.event_bus import CELERY, DISPATCHER, drain
from shared.identifiers import new_id
from shared.testing.signing import SigningClient, v1_signature

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

PAYMENTS = 500
KEYS = [f"key-{number}" for number in range(PAYMENTS)]
MERCHANT_ID = new_id()
STORY = [
    "Payment.Transaction.Initiated",
    "Fraud.Assessment.Completed",
    "Payment.Transaction.Authorised",
    "Ledger.Entry.Posted",
]


class TestKill9:
    def test_of_the_dispatcher(self, tmp_path: Path) -> None:
        accept_payments()

        with processes.dispatcher(tmp_path) as dispatcher:
            for share in (0.2, 0.5, 0.8):
                dispatcher.start()
                wait_until(lambda s=share: decided() >= s * PAYMENTS, dispatcher.output)  # type: ignore[misc]
                dispatcher.kill()
                assert share > 0.2 or decided() < PAYMENTS, "killed too late to prove anything"
                let_leases_end("payments.operation")
            dispatcher.start()
            wait_until(lambda: outstanding() == 0, dispatcher.output)
        drain(CELERY)
        drain(DISPATCHER)

        assert_every_effect_exactly_once()

    def test_of_the_celery_worker(self, tmp_path: Path) -> None:
        accept_payments()
        drain(DISPATCHER)

        with processes.worker(tmp_path, **slow_mail.IN_USE) as worker:
            for share in (0.2, 0.6):
                worker.start()
                worker.ask("shared.sweep")
                wait_until(lambda s=share: sent() >= s * PAYMENTS, worker.output)  # type: ignore[misc]
                worker.kill()
                assert share > 0.2 or sent() < PAYMENTS, "killed too late to prove anything"
            let_leases_end("notifications.message")
            worker.start()
            worker.ask("shared.sweep")
            wait_until(lambda: sent() == PAYMENTS, worker.output)
        drain(DISPATCHER)

        assert_every_effect_exactly_once()
        assert len(mails_by_id(tmp_path / "mail")) == PAYMENTS

    def test_of_the_web(self, tmp_path: Path) -> None:
        client = InsistentClient(registered(), port := free_port())

        with processes.web(tmp_path, port) as web, processes.dispatcher(tmp_path) as dispatcher:
            web.start()
            dispatcher.start()
            client.start()
            for share in (0.2, 0.6):
                wait_until(lambda s=share: len(client.answers) >= s * PAYMENTS, web.output)  # type: ignore[misc]
                web.kill()
                web.start()
            client.join()
            wait_until(lambda: outstanding() == 0, dispatcher.output)
        drain()

        # A repeat after the decision is told it.
        assert {202} <= set(client.answers.values()) <= {201, 202}
        assert client.repeats > 0
        assert_every_effect_exactly_once()


class InsistentClient:
    """Threads that send payments and repeat each, key and all, until it is answered."""

    def __init__(
        self, merchant: SigningClient, port: int, *, keys: Sequence[str] = KEYS, lanes: int = 8
    ) -> None:
        self._merchant, self._port = merchant, port
        self._keys: SimpleQueue[str] = SimpleQueue()
        for key in keys:
            self._keys.put(key)
        self.answers: dict[str, int] = {}
        self.repeats = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(lanes)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=processes.PATIENCE_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                key = self._keys.get_nowait()
            except Empty:
                return
            body = payment_body(key)
            while key not in self.answers:
                try:
                    self.answers[key] = self._send(body)
                except (OSError, HTTPException):
                    self.repeats += 1

    def _send(self, body: bytes) -> int:
        timestamp = str(int(clock.now().timestamp()))
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/v1/payments",
            body,
            {
                "Content-Type": "application/json",
                "X-Merchant-ID": self._merchant.merchant_id,
                "X-Timestamp": timestamp,
                "X-Signature": v1_signature(self._merchant.api_key, timestamp, body),
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
            return int(answer.status)


def assert_every_effect_exactly_once(payments: int = PAYMENTS) -> None:
    assert counted("payments.payment", "status = 'AUTHORISED'") == payments
    assert counted("payments.payment") == payments
    assert counted("fraud.assessment") == distinct("fraud.assessment", "payment_id") == payments
    assert counted("payments.operation", "outcome = 'APPROVED'") == payments
    assert counted("payments.operation") == distinct("payments.operation", "payment_id") == payments
    assert counted("ledger.journal_entry") == payments
    assert distinct("ledger.journal_entry", "correlation_id") == payments
    assert counted("ledger.posting") == 2 * payments
    assert find_imbalances() == []
    assert sent() == payments
    assert stories() == {tuple(STORY): payments}
    assert outstanding() == 0
    told = "event_type = 'Notification.Message.Sent' AND payload ->> 'template' LIKE 'payment%'"
    assert counted("audit.record", told) == payments
    assert counted("notifications.message", _OF_PAYMENTS) == payments


def stories() -> dict[tuple[str, ...], int]:
    """How many payments have which trail, in recorded order."""
    rows = query(
        "SELECT types, count(*) FROM (SELECT array_agg(event_type ORDER BY id) AS types"
        " FROM audit.record WHERE event_type NOT LIKE 'Notification.%'"
        " AND event_type NOT LIKE 'Merchant.%' GROUP BY correlation_id) AS story GROUP BY types"
    )
    return {tuple(types): count for types, count in rows}


def accept_payments() -> None:
    for number in range(PAYMENTS):
        in_transaction(terms(f"key-{number}"))


def terms(key: str, merchant_id: UUID = MERCHANT_ID) -> Terms:
    return Terms(
        merchant_id=merchant_id,
        merchant_name="Acme",
        merchant_email="acme@example.com",
        payee_account_id=new_id(),
        idempotency_key=key,
        amount_minor=25_000,
        currency="USD",
        method_type="CARD",
        method_token="tok_test",
        description="",
        metadata={},
    )


def in_transaction(accepted: Terms) -> None:
    run_in_transaction(lambda: initiate_payment(terms=accepted, now=clock.now()))


def registered() -> SigningClient:
    made = register_merchant(name="Acme", email="acme@example.com", now=clock.now())
    return SigningClient(str(made.merchant.pk), made.plain_key)


def payment_body(key: str) -> bytes:
    return json.dumps(
        {
            "payeeAccountId": str(uuid4()),
            "idempotencyKey": key,
            "amount": "250.00",
            "currency": "USD",
            "paymentMethod": {"type": "CARD", "token": "tok_test"},
        }
    ).encode()


def mails_by_id(folder: Path) -> set[str]:
    return {str(message_from_bytes(path.read_bytes())["Message-ID"]) for path in folder.iterdir()}


_OF_PAYMENTS = "template LIKE 'payment%'"
"""Messages but for those about the merchant's own account."""


def let_leases_end(table: str) -> None:
    query(f"UPDATE {table} SET due_at = now() WHERE due_at > now() RETURNING id")


def decided() -> int:
    return counted("payments.payment", "status <> 'PENDING'")


def sent() -> int:
    return counted("notifications.message", f"sent_at IS NOT NULL AND {_OF_PAYMENTS}")


def outstanding() -> int:
    operations = counted("payments.operation", "due_at IS NOT NULL")
    return operations + counted("shared.publication")


def counted(table: str, where: str = "true") -> int:
    return int(query(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])


def distinct(table: str, column: str) -> int:
    return int(query(f"SELECT count(DISTINCT {column}) FROM {table}")[0][0])


def query(text: str) -> list[tuple[Any, ...]]:
    # The owner's connection has no SQL wall: a checker may look everywhere.
    with connections["owner"].cursor() as cursor:
        cursor.execute(text)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
