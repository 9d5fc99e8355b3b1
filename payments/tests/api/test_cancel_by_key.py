"""Cancelling by key over HTTP: an answer for whatever became of the request."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.api.conftest import answered, ask, payment_of
from payments.tests.conftest import NOW, FakeProcessor, accepted, loaded, planned, run, terms
from payments.use_cases.initiate_payment import initiate_payment
from shared import db
from shared.models import IdempotencyRecord
from shared.testing.api import Written, payment_body, refused
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

S = PaymentStatus


def cancel(merchant: SigningClient, cancel_key: str, *, wait: int = 1, **body: Any) -> Any:
    document = {"idempotencyKey": f"key-{uuid4()}", "cancelKey": cancel_key} | body
    return merchant.post("/payments/cancel-by-key", document, HTTP_PREFER=f"wait={wait}")


class TestCancelByKey:
    def test_of_what_was_not_sent_fails_it(self, merchant: SigningClient) -> None:
        body = payment_body()
        first = merchant.post("/payments", body).json()
        answer = cancel(merchant, body["idempotencyKey"])
        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["paymentId"], shown["status"]) == (first["paymentId"], "FAILED")
        assert shown["failureReason"] == "cancelled"
        assert answer.headers["X-Correlation-ID"] == first["correlationId"]
        late = merchant.post("/payments", body)  # the first look after the decision
        assert (late.status_code, late.json()) == (201, shown)

    def test_of_what_was_sent_is_202_until_it_is_voided(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.PENDING)
        planned(payment)
        first = cancel(merchant, payment.idempotency_key)
        assert (first.status_code, first.json()["status"]) == (202, "PENDING")
        run(3)  # the processor was never told of it: never sent, so it fails
        last = cancel(merchant, payment.idempotency_key)
        assert (last.status_code, last.json()["status"]) == (200, "FAILED")

    def test_of_what_is_in_doubt_waits_for_its_void(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.PENDING)
        operation = planned(payment, outcome="UNKNOWN")
        processor.book[operation.pk] = Outcome(OutcomeKind.APPROVED, "ref-2")
        Operation.objects.update(due_at=NOW)
        answer = answered(lambda: cancel(merchant, payment.idempotency_key, wait=10))
        assert (answer.status_code, answer.json()["status"]) == (200, "VOIDED")
        assert processor.verbs() == ["inquire", "void"]

    def test_of_what_is_authorised_voids_it(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        answer = answered(lambda: cancel(merchant, payment.idempotency_key, wait=10))
        assert (answer.status_code, answer.json()["status"]) == (200, "VOIDED")

    def test_of_what_is_being_voided_is_202(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        ask(merchant, payment, "void", wait=0)
        assert cancel(merchant, payment.idempotency_key).status_code == 202

    @pytest.mark.parametrize("status", [S.PARTIALLY_CAPTURED, S.CAPTURED, S.REFUNDED])
    def test_of_what_was_captured_is_refused(
        self, merchant: SigningClient, status: PaymentStatus
    ) -> None:
        payment, before = payment_of(merchant, status), Written.now()
        refused(cancel(merchant, payment.idempotency_key), 409, "payment_not_voidable")
        assert Written.now() == before

    def test_of_what_is_being_captured_is_refused(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        ask(merchant, payment, "capture", wait=0)
        refused(cancel(merchant, payment.idempotency_key), 409, "payment_not_voidable")

    @pytest.mark.parametrize("status", [S.DECLINED, S.FAILED, S.VOIDED, S.EXPIRED])
    def test_of_what_holds_nothing_shows_it(
        self, merchant: SigningClient, status: PaymentStatus
    ) -> None:
        answer = cancel(merchant, payment_of(merchant, status).idempotency_key)
        assert (answer.status_code, answer.json()["status"]) == (200, status)


class TestKeyNeverSeen:
    def test_is_burnt(self, merchant: SigningClient) -> None:
        body = payment_body()
        for _ in range(2):
            answer = cancel(merchant, body["idempotencyKey"])
            assert (answer.status_code, answer.json()) == (200, {"cancelled": True})
        before = Written.now()
        for path in ("/payments", "/payments/authorize"):
            refused(merchant.post(path, body), 409, "idempotency_key_cancelled")
        assert Written.now() == before

    def test_is_the_merchants_own(self, merchant: SigningClient, other: SigningClient) -> None:
        body = payment_body()
        cancel(merchant, body["idempotencyKey"])
        assert other.post("/payments", body).status_code == 202
        answer = cancel(merchant, body["idempotencyKey"])
        assert answer.json() == {"cancelled": True}

    def test_that_did_something_else_is_refused(self, merchant: SigningClient) -> None:
        merchant.post("/merchants/keys/rotate", {"idempotencyKey": "rotate", "overlapSeconds": 9})
        refused(cancel(merchant, "rotate"), 409, "key_used_elsewhere")
        refused(cancel(merchant, "same", idempotencyKey="same"), 409, "key_used_elsewhere")


class TestRequest:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"cancelKey": ""}, "validation_failed"),
            ({"cancelKey": "k" * 129}, "validation_failed"),
            ({"cancelKey": None}, "validation_failed"),
            ({"cancelKey": "4111111111111111"}, "card_number_refused"),
            ({"amount": "1.00"}, "unknown_field"),
        ],
    )
    def test_is_refused(self, merchant: SigningClient, body: dict[str, Any], code: str) -> None:
        before = Written.now()
        refused(cancel(merchant, "key-1", **body), 400, code)
        refused(
            merchant.post("/payments/cancel-by-key", {"cancelKey": "x"}),
            400,
            "idempotency_key_required",
        )
        assert Written.now() == before

    def test_is_answered_with_the_same_bytes_again(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        again = partial(cancel, merchant, payment.idempotency_key, idempotencyKey="key-1")
        assert again().status_code == 202
        run()
        assert loaded(payment).status == "VOIDED"
        told = [again() for _ in range(2)]
        assert [answer.status_code for answer in told] == [200, 200]
        assert told[0].content == told[1].content
        assert told[1].headers["Idempotent-Replayed"] == "true"

    def test_that_came_to_nothing_late_is_refused_and_stays_so(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        again = partial(cancel, merchant, payment.idempotency_key, idempotencyKey="key-1")
        assert again(wait=0).status_code == 202
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason="captured_at_the_till")]
        run()
        assert answered(lambda: ask(merchant, payment, "capture", wait=10)).status_code == 200
        first = again()
        refused(first, 409, "payment_not_voidable")
        assert first.json()["correlationId"] == str(payment.correlation_id)

        assert answered(lambda: ask(merchant, payment, "refund", wait=10)).status_code == 200
        repeated = again()
        assert (repeated.status_code, repeated.content) == (409, first.content)
        assert repeated.headers["Idempotent-Replayed"] == "true"
        assert repeated.headers["Content-Type"] == "application/problem+json"

    def test_is_refused_when_the_release_is(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason="account_closed")]
        answer = answered(lambda: cancel(merchant, payment.idempotency_key, wait=10))
        refused(answer, 409, "payment_not_voidable")
        assert loaded(payment).status == "AUTHORISED"


class TestRequestUnderWay:
    """The payment's own request has not committed: on another connection, at this moment."""

    def under_way(self, merchant: SigningClient, key: str, *, commits: bool) -> tuple[Any, Any]:
        """A cancellation that comes while the request holds its key, which then ends."""
        asked = terms(merchant_id=UUID(merchant.merchant_id), idempotency_key=key)
        try:
            with ThreadPoolExecutor(1) as pool, db.transaction():
                IdempotencyRecord.objects.create(
                    merchant_id=asked.merchant_id, key=key, fingerprint=b"its own", expires_at=NOW
                )
                payment = initiate_payment(terms=asked, now=NOW)
                cancelled = pool.submit(in_own_connection, partial(cancel, merchant, key))
                wait_for_a_waiter()
                if not commits:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            payment = None
        return cancelled.result(30), payment

    def test_is_waited_for_and_cancelled(self, merchant: SigningClient) -> None:
        answer, payment = self.under_way(merchant, "key-1", commits=True)
        assert (answer.status_code, answer.json()["status"]) == (200, "FAILED")
        assert answer.json()["paymentId"] == str(payment.pk)

    def test_burns_the_key_when_it_comes_to_nothing(self, merchant: SigningClient) -> None:
        answer, _ = self.under_way(merchant, "key-1", commits=False)
        assert (answer.status_code, answer.json()) == (200, {"cancelled": True})
        body = payment_body(idempotencyKey="key-1")
        refused(merchant.post("/payments", body), 409, "idempotency_key_cancelled")

    def test_that_takes_too_long_is_in_use(self, merchant: SigningClient) -> None:
        def cancel_impatiently() -> Any:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
            begun = time.monotonic()
            return cancel(merchant, "key-1", idempotencyKey="key-2"), time.monotonic() - begun

        with ThreadPoolExecutor(1) as pool, db.transaction():
            IdempotencyRecord.objects.create(
                merchant_id=UUID(merchant.merchant_id),
                key="key-1",
                fingerprint=b"its own",
                expires_at=NOW,
            )
            answer, seconds = pool.submit(in_own_connection, cancel_impatiently).result(30)
        refused(answer, 409, "idempotency_key_in_use")
        assert 1 <= seconds < 3  # not tried again and again with the other still under way
        freed = cancel(merchant, "key-1", idempotencyKey="key-2")
        refused(freed, 409, "key_used_elsewhere")  # the other has committed, and is no payment

    def test_never_survives_its_cancellation(self, merchant: SigningClient) -> None:
        for _ in range(8):
            body = payment_body()
            clients = [SigningClient(merchant.merchant_id, merchant.api_key) for _ in range(2)]
            taken, cancelled = race(
                [
                    partial(clients[0].post, "/payments", body),
                    partial(cancel, clients[1], body["idempotencyKey"]),
                ]
            )
            assert cancelled.status_code == 200
            found = Payment.objects.filter(idempotency_key=body["idempotencyKey"]).first()
            if taken.status_code == 202:
                assert found is not None and found.status == "FAILED"
            else:
                refused(taken, 409, "idempotency_key_cancelled")
                assert found is None

    def test_would_survive_if_the_payment_were_looked_for_first(self) -> None:
        # The naive twin: no payment is found, so there is nothing to cancel; then it commits.
        stranger = accepted()
        with ThreadPoolExecutor(1) as pool, db.transaction():
            payment = initiate_payment(terms=terms(), now=NOW)
            looked = pool.submit(
                in_own_connection, lambda: Payment.objects.filter(pk=payment.pk).exists()
            )
            assert looked.result(30) is False
        assert loaded(payment).status == loaded(stranger).status == "PENDING"


def in_own_connection(work: Any) -> Any:
    try:
        return work()
    finally:
        connections.close_all()


def wait_for_a_waiter() -> None:
    """Until another connection waits for a lock of this one."""
    for _ in range(2_000):
        with connections["owner"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("nobody waits")
