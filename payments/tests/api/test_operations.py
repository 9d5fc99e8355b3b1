"""Captures, voids and refunds over HTTP: every answer they can give."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.api.conftest import answered, ask, payment_of
from payments.tests.conftest import FakeProcessor, hasten, loaded, run
from payments.tests.use_cases.test_preview_operation import everything
from shared import clock
from shared.models import IdempotencyRecord
from shared.testing.api import Written, refused
from shared.testing.races import race
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

S = PaymentStatus
VERBS = {"capture": S.AUTHORISED, "void": S.AUTHORISED, "refund": S.CAPTURED}
"""What can be asked for, and of a payment in which status."""
NOT_AMOUNTS: tuple[Any, ...] = (
    "0",
    "0.00",
    "1.001",
    "-1",
    "1e2",
    1,
    None,
    True,
    "",
    "NaN",
    [],
    "1,0",
    "1_0",
    "٣",
)
CARD = "4111 1111 1111 1111"
_EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"currency": "USD"}, "unknown_field"),
    ({"status": "CAPTURED"}, "unknown_field"),
    ({"dryRun": 1}, "validation_failed"),
    ({"idempotencyKey": ""}, "validation_failed"),
    ({"idempotencyKey": 7}, "validation_failed"),
]
_WITH_AMOUNT: list[tuple[dict[str, Any], str]] = [
    *_EVERYWHERE,
    *(({"amount": amount}, "validation_failed") for amount in NOT_AMOUNTS),
    ({"metadata": {"a": 1}}, "validation_failed"),
    ({"metadata": {"a": CARD}}, "card_number_refused"),
]
MALFORMED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "capture": [
        *_WITH_AMOUNT,
        ({"finalCapture": "true"}, "validation_failed"),
        ({"reason": "x"}, "unknown_field"),
    ],
    "void": [*_EVERYWHERE, ({"amount": "1.00"}, "unknown_field")],
    "refund": [
        *_WITH_AMOUNT,
        ({"finalCapture": True}, "unknown_field"),
        ({"reason": "x" * 501}, "validation_failed"),
        ({"reason": 1}, "validation_failed"),
        ({"reason": CARD}, "card_number_refused"),
    ],
}
DONE = {"capture": "CAPTURED", "void": "VOIDED", "refund": "REFUNDED"}


class TestDone:
    def test_capture_answers_the_payment(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        capture = partial(ask, merchant, payment, "capture", wait=10, amount="100.00")
        answer = answered(lambda: capture(finalCapture=False, metadata={"parcel": "1"}))
        assert answer.status_code == 200
        assert answer.headers["X-Correlation-ID"] == str(payment.correlation_id)
        shown = answer.json()
        assert shown == shown | {
            "paymentId": str(payment.pk),
            "status": "PARTIALLY_CAPTURED",
            "authorisedAmount": "250.00",
            "capturedAmount": "100.00",
            "refundedAmount": "0.00",
            "inDoubt": False,
        }
        final = answered(lambda: ask(merchant, payment, "capture", wait=10)).json()
        assert (final["status"], final["capturedAmount"]) == ("CAPTURED", "250.00")
        assert final["capturedAt"].endswith("Z")

    @pytest.mark.parametrize(
        ("status", "after"), [(S.AUTHORISED, "VOIDED"), (S.PARTIALLY_CAPTURED, "CAPTURED")]
    )
    def test_void_answers_the_payment(
        self,
        merchant: SigningClient,
        processor: FakeProcessor,
        status: PaymentStatus,
        after: str,
    ) -> None:
        payment = payment_of(merchant, status)
        answer = answered(lambda: ask(merchant, payment, "void", wait=10))
        assert (answer.status_code, answer.json()["status"]) == (200, after)

    def test_refund_answers_the_refund(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.CAPTURED, currency="KWD", amount_minor=10_000)
        refund = {"amount": "4.5", "reason": "torn", "metadata": {"rma": "7"}}
        answer = answered(lambda: ask(merchant, payment, "refund", wait=10, **refund))
        operation = Operation.objects.get()
        assert answer.status_code == 200
        assert answer.json() == {
            "refundId": str(operation.pk),
            "paymentId": str(payment.pk),
            "status": "REFUNDED",
            "refundedAmount": "4.500",
            "currency": "KWD",
            "reason": "torn",
            "metadata": {"rma": "7"},
            "createdAt": clock.iso(operation.created_at),
        }
        assert merchant.get(f"/refunds/{operation.pk}").json() == answer.json()
        assert loaded(payment).status == "PARTIALLY_REFUNDED"


class TestNotDone:
    @pytest.mark.parametrize("verb", VERBS)
    def test_a_decline_is_an_outcome_stored_and_replayed(
        self, merchant: SigningClient, processor: FakeProcessor, verb: str
    ) -> None:
        payment = payment_of(merchant, VERBS[verb])
        key = f"key-{uuid4()}"
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason="account_closed")]
        answer = answered(lambda: ask(merchant, payment, verb, wait=10, idempotencyKey=key))
        problem = problem_in_detail(answer)
        assert (problem["code"], problem["reason"]) == ("processor_declined", "account_closed")
        assert problem["correlationId"] == str(payment.correlation_id)

        again = ask(merchant, payment, verb, idempotencyKey=key)
        assert (again.status_code, again.content) == (422, answer.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Content-Type"] == "application/problem+json"

        another = answered(lambda: ask(merchant, payment, verb, wait=10))
        assert (another.status_code, loaded(payment).status) == (200, DONE[verb])
        assert processor.verbs() == [verb, verb]

    def test_a_processor_that_cannot_be_reached_moves_nothing(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.CAPTURED)
        processor.is_reachable = False
        answer = answered(lambda: ask(merchant, payment, "refund", wait=20))
        assert problem_in_detail(answer)["code"] == "processor_unreachable"
        assert (loaded(payment).status, loaded(payment).refunding_minor) == ("CAPTURED", 0)
        refund = merchant.get(f"/refunds/{Operation.objects.get().pk}").json()
        assert (refund["status"], refund["failureReason"]) == ("FAILED", "connection_refused")


def problem_in_detail(answer: Any) -> dict[str, Any]:
    """The problem of a 422 that an outcome is, which has a reason of its own."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:payflow:problem:{problem['code']}"
    assert problem["correlationId"] == answer.headers["X-Correlation-ID"]
    return problem


class TestRefused:
    @pytest.mark.parametrize(
        ("status", "verb", "code", "http_status"),
        [
            (S.PENDING, "capture", "payment_not_capturable", 409),
            (S.VOIDED, "capture", "payment_not_capturable", 409),
            (S.EXPIRED, "capture", "payment_not_capturable", 409),
            (S.CAPTURED, "capture", "already_captured", 409),
            (S.REFUNDED, "capture", "already_captured", 409),
            (S.IN_REVIEW, "void", "payment_not_voidable", 409),
            (S.CAPTURED, "void", "payment_not_voidable", 409),
            (S.AUTHORISED, "refund", "payment_not_refundable", 409),
            (S.DECLINED, "refund", "payment_not_refundable", 409),
            (S.REFUNDED, "refund", "refund_exceeds_captured", 409),
        ],
    )
    def test_by_status(
        self, merchant: SigningClient, status: PaymentStatus, verb: str, code: str, http_status: int
    ) -> None:
        payment = payment_of(merchant, status)
        before = everything()
        for dry_run in (False, True):
            refused(ask(merchant, payment, verb, dryRun=dry_run), http_status, code)
        assert everything() == before

    @pytest.mark.parametrize("verb", VERBS)
    def test_by_body(self, merchant: SigningClient, verb: str) -> None:
        payment = payment_of(merchant, VERBS[verb])
        before = everything()
        for body, code in MALFORMED[verb]:
            answer = ask(merchant, payment, verb, **body)
            refused(answer, 400, code)
            named = {error["field"].split(".")[0] for error in answer.json()["errors"]}
            assert named == body.keys()
        assert everything() == before

    @pytest.mark.parametrize(
        ("verb", "amount", "http_status", "code"),
        [
            ("capture", "250.01", 422, "capture_exceeds_authorisation"),
            ("capture", "9999999999999.00", 422, "capture_exceeds_authorisation"),
            ("refund", "100.01", 409, "refund_exceeds_captured"),
        ],
    )
    def test_by_amount(
        self, merchant: SigningClient, verb: str, amount: str, http_status: int, code: str
    ) -> None:
        payment = payment_of(merchant, VERBS[verb])
        before = everything()
        for dry_run in (False, True):
            refused(ask(merchant, payment, verb, amount=amount, dryRun=dry_run), http_status, code)
        assert everything() == before

    @pytest.mark.parametrize(("currency", "amount"), [("JPY", "1.0"), ("KWD", "1.0001")])
    def test_by_the_decimals_of_the_payments_currency(
        self, merchant: SigningClient, currency: str, amount: str
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED, currency=currency)
        answer = ask(merchant, payment, "capture", amount=amount)
        refused(answer, 400, "validation_failed")
        assert [error["field"] for error in answer.json()["errors"]] == ["amount"]

    def test_once_the_time_is_over(self, merchant: SigningClient) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        over = clock.now() - timedelta(seconds=1)
        Payment.objects.filter(pk=payment.pk).update(capture_before=over)
        refused(ask(merchant, payment, "capture"), 409, "payment_not_capturable")

    def test_while_another_is_in_flight(self, merchant: SigningClient) -> None:
        voided, captured = (payment_of(merchant, S.AUTHORISED) for _ in range(2))
        ask(merchant, voided, "void", wait=0)
        ask(merchant, captured, "capture", amount="200.00", wait=0)
        refused(ask(merchant, voided, "void"), 409, "payment_not_voidable")
        refused(ask(merchant, voided, "capture"), 409, "payment_not_capturable")
        refused(ask(merchant, captured, "void"), 409, "payment_not_voidable")
        refused(ask(merchant, captured, "capture"), 422, "capture_exceeds_authorisation")

    def test_leaves_the_key_free(self, merchant: SigningClient, processor: FakeProcessor) -> None:
        payment, key = payment_of(merchant, S.AUTHORISED), "key-1"
        refused(
            ask(merchant, payment, "capture", amount="300.00", idempotencyKey=key),
            422,
            "capture_exceeds_authorisation",
        )
        capture = partial(ask, merchant, payment, "capture", wait=10, idempotencyKey=key)
        assert answered(lambda: capture(amount="30.00")).status_code == 200

    @pytest.mark.parametrize("verb", VERBS)
    def test_without_a_key_and_under_a_used_one(self, merchant: SigningClient, verb: str) -> None:
        payment = payment_of(merchant, VERBS[verb])
        refused(
            merchant.post(f"/payments/{payment.pk}/{verb}", {}), 400, "idempotency_key_required"
        )
        ask(merchant, payment, verb, wait=0, idempotencyKey="key-1")
        twin = payment_of(merchant, VERBS[verb])
        refused(ask(merchant, twin, verb, idempotencyKey="key-1"), 409, "idempotency_key_reused")


class TestReplay:
    def test_says_the_same_bytes_after_the_payment_moved_on(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment, key = payment_of(merchant, S.AUTHORISED), "key-1"
        capture = partial(ask, merchant, payment, "capture", idempotencyKey=key, amount="80.00")
        first = answered(lambda: capture(wait=10))
        assert answered(lambda: ask(merchant, payment, "refund", wait=10)).status_code == 200
        again = capture(wait=10)
        assert (again.status_code, again.content) == (200, first.content)
        assert loaded(payment).status == "REFUNDED"
        assert processor.verbs() == ["capture", "refund"]

    @pytest.mark.parametrize("verb", VERBS)
    def test_says_so_when_the_answer_is_no_longer_kept(
        self, merchant: SigningClient, processor: FakeProcessor, verb: str
    ) -> None:
        payment = payment_of(merchant, VERBS[verb])
        repeat = partial(ask, merchant, payment, verb, idempotencyKey="key-1")
        assert answered(lambda: repeat(wait=10)).status_code in (200, 201)
        IdempotencyRecord.objects.filter(key="key-1").update(expires_at=clock.now())
        before = everything()
        refused(repeat(), 409, "idempotency_key_expired")
        assert everything() == before

    def test_of_sixteen_at_once_makes_one_capture(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        payment = payment_of(merchant, S.AUTHORISED)

        def capture() -> tuple[int, bytes, bool]:
            client = SigningClient(merchant.merchant_id, merchant.api_key)
            answer = ask(client, payment, "capture", amount="60.00", idempotencyKey="key-1")
            return answer.status_code, answer.content, "Idempotent-Replayed" in answer.headers

        assert {(status, is_replay) for status, _, is_replay in race([capture] * 16)} == {
            (202, False)
        }
        run()
        assert processor.verbs() == ["capture"]
        assert loaded(payment).captured_minor == 6_000
        told = race([capture] * 16)
        assert {(status, is_replay) for status, _, is_replay in told} == {(200, True)}
        assert len({body for _, body, _ in told}) == 1


class TestDryRun:
    @pytest.mark.parametrize(
        ("status", "verb", "body", "shown"),
        [
            (S.AUTHORISED, "capture", {"amount": "60.00"}, ("CAPTURED", "60.00", "0.00")),
            (
                S.AUTHORISED,
                "capture",
                {"amount": "60.00", "finalCapture": False},
                ("PARTIALLY_CAPTURED", "60.00", "0.00"),
            ),
            (S.PARTIALLY_CAPTURED, "void", {}, ("CAPTURED", "100.00", "0.00")),
            (S.AUTHORISED, "void", {}, ("VOIDED", "0.00", "0.00")),
            (S.CAPTURED, "refund", {"amount": "0.01"}, ("PARTIALLY_REFUNDED", "100.00", "0.01")),
            (S.CAPTURED, "refund", {}, ("REFUNDED", "100.00", "100.00")),
        ],
    )
    def test_says_what_would_happen_and_stores_nothing(
        self,
        merchant: SigningClient,
        status: PaymentStatus,
        verb: str,
        body: dict[str, Any],
        shown: tuple[str, str, str],
    ) -> None:
        payment = payment_of(merchant, status)
        before, rows = everything(), Written.now()
        answer = ask(merchant, payment, verb, dryRun=True, **body)
        assert answer.status_code == 200
        told = answer.json()
        assert told.keys() == {"dryRun", "status", "capturedAmount", "refundedAmount", "postings"}
        assert (told["status"], told["capturedAmount"], told["refundedAmount"]) == shown
        assert told["dryRun"] is True
        assert (everything(), Written.now()) == (before, rows)

    def test_leaves_the_key_free(self, merchant: SigningClient, processor: FakeProcessor) -> None:
        payment = payment_of(merchant, S.AUTHORISED)
        ask(merchant, payment, "void", dryRun=True, idempotencyKey="key-1")
        done = answered(lambda: ask(merchant, payment, "void", wait=10, idempotencyKey="key-1"))
        assert (done.status_code, done.json()["status"]) == (200, "VOIDED")
        hasten()
