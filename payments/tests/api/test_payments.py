"""Payments over HTTP: accepting, waiting, listing."""

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
import urllib3
from django.db import connection

from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Payment
from payments.tests.api.conftest import answered
from payments.tests.conftest import FakeProcessor, hasten
from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, refused
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


class TestTakingAPayment:
    def test_answers_pending_at_once(self, merchant: SigningClient) -> None:
        body = payment_body(description="Order 1", metadata={"order": "1"})
        answer = merchant.post("/payments", body)
        assert answer.status_code == 202
        payment = answer.json()
        assert answer.headers["Location"] == f"/api/v1/payments/{payment['paymentId']}"
        assert answer.headers["X-Correlation-ID"] == payment["correlationId"]
        assert UUID(payment["paymentId"]).version == 7
        assert payment == payment | {
            "merchantId": merchant.merchant_id,
            "payeeAccountId": body["payeeAccountId"],
            "status": "PENDING",
            "amount": "250.00",
            "currency": "USD",
            "authorisedAmount": "0.00",
            "capturedAmount": "0.00",
            "refundedAmount": "0.00",
            "inDoubt": False,
            "paymentMethod": {"type": "CARD", "token": "tok_test"},
            "description": "Order 1",
            "metadata": {"order": "1"},
        }
        assert payment["createdAt"].endswith("Z")
        assert (
            not {"declineReason", "failureReason", "authorisedAt", "ledgerBalance"} & payment.keys()
        )

    @pytest.mark.parametrize(
        ("token", "status", "reason"),
        [
            ("tok_test", "AUTHORISED", None),
            ("tok_declined", "DECLINED", "do_not_honor"),
            ("tok_insufficient_funds", "DECLINED", "insufficient_funds"),
        ],
    )
    def test_answers_the_decision_when_asked_to_wait(
        self, merchant: SigningClient, token: str, status: str, reason: str | None
    ) -> None:
        body = payment_body(paymentMethod={"type": "CARD", "token": token})
        answer = answered(lambda: merchant.post("/payments", body, HTTP_PREFER="wait=10"))
        assert (answer.status_code, answer.json()["status"]) == (201, status)
        assert answer.json().get("declineReason") == reason

    def test_waits_unasked_when_asked_to_authorise(self, merchant: SigningClient) -> None:
        answer = answered(lambda: merchant.post("/payments/authorize", payment_body()))
        assert (answer.status_code, answer.json()["status"]) == (201, "AUTHORISED")
        assert answer.json()["authorisedAmount"] == "250.00"

    def test_answers_pending_when_nothing_is_decided_in_time(self, merchant: SigningClient) -> None:
        answer = merchant.post("/payments/authorize", payment_body(), HTTP_PREFER="wait=1")
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        at_once = merchant.post("/payments/authorize", payment_body(), HTTP_PREFER="wait=0")
        assert at_once.status_code == 202

    def test_takes_texts_up_to_their_limits(self, merchant: SigningClient) -> None:
        changes: list[dict[str, Any]] = [
            {"description": "😀" * 500},
            {"description": ""},
            {"metadata": {str(number).rjust(40, "k"): "v" * 500 for number in range(20)}},
            {"metadata": {}},
            {"metadata": {"a": ""}},
            {"paymentMethod": {"type": "WALLET", "token": "t" * 100}},
        ]
        for change in changes:
            answer = merchant.post("/payments", payment_body(**change))
            assert answer.status_code == 202
            name, value = next(iter(change.items()))
            assert answer.json()[name] == value

    def test_refuses_texts_beyond_their_limits(self, merchant: SigningClient) -> None:
        for change in (
            {"description": "x" * 501},
            {"metadata": {str(number): "" for number in range(21)}},
            {"metadata": {"k" * 41: ""}},
            {"metadata": {"": ""}},
            {"metadata": {"k": "v" * 501}},
            {"paymentMethod": {"type": "CARD", "token": "t" * 101}},
            {"paymentMethod": {"type": "CARD", "token": ""}},
            {"paymentMethod": {"type": "CARD"}},
            {"paymentMethod": {"token": "tok_test"}},
        ):
            answer = merchant.post("/payments", payment_body(**change))
            refused(answer, 400, "validation_failed")

    @pytest.mark.parametrize("field", ["payeeAccountId", "amount", "currency", "paymentMethod"])
    def test_requires(self, merchant: SigningClient, field: str) -> None:
        body = payment_body()
        del body[field]
        answer = merchant.post("/payments", body)
        refused(answer, 400, "validation_failed")
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    @pytest.mark.parametrize(
        ("amount", "currency", "shown"),
        [("10", "JPY", "10"), ("1.5", "KWD", "1.500"), ("0.01", "USD", "0.01")],
    )
    def test_answers_amounts_with_all_decimals(
        self, merchant: SigningClient, amount: str, currency: str, shown: str
    ) -> None:
        answer = merchant.post("/payments", payment_body(amount=amount, currency=currency))
        assert answer.json()["amount"] == shown

    def test_keeps_strange_texts_as_they_are(self, merchant: SigningClient) -> None:
        """F76: stored; what becomes of them in e-mails is shown in `flows/test_secrets.py`."""
        for text in (
            "a\r\nBcc: b@example.com",
            "\u202ereversed",
            "a" + "\u0301" * 400,
            "\x1b[31mred",
            "${jndi:ldap://x}",
            "<script>alert(1)</script>",
            "'; DROP TABLE payments.payment; --",
            "\ufffe\uffff\U0010ffff",
        ):
            body = payment_body(description=text, metadata={text[:40]: text})
            answer = merchant.post("/payments", body)
            assert answer.status_code == 202
            shown = merchant.get(f"/payments/{answer.json()['paymentId']}").json()
            assert (shown["description"], shown["metadata"]) == (text, body["metadata"])


class TestInReview:
    def test_is_answered_at_once_and_asked_again_until_it_is_decided(
        self, merchant: SigningClient
    ) -> None:
        body = payment_body()
        payment_id = merchant.post("/payments", body).json()["paymentId"]
        payment = Payment.objects.get(pk=payment_id)
        payment.hold_for_review(now=clock.now())
        Payment.objects.write([payment])
        asked_at = time.monotonic()
        answer = merchant.post("/payments", body, HTTP_PREFER="wait=30")
        assert time.monotonic() - asked_at < 20  # it waits for no operator
        assert (answer.status_code, answer.json()["status"]) == (202, "IN_REVIEW")
        assert "Idempotent-Replayed" not in answer.headers

        payment.decline(reason="fraud_review", now=clock.now())
        Payment.objects.write([payment])
        told = [merchant.post("/payments", body) for _ in range(2)]
        assert [answer.status_code for answer in told] == [201, 201]
        assert told[0].json()["status"] == "DECLINED"
        assert told[0].content == told[1].content


class TestCaptureAtOnce:
    @pytest.mark.parametrize("path", ["/payments", "/payments/authorize"])
    def test_answers_captured(self, merchant: SigningClient, path: str) -> None:
        body = payment_body(capture=True)
        answer = answered(lambda: merchant.post(path, body, HTTP_PREFER="wait=10"))
        assert (answer.status_code, answer.json()["status"]) == (201, "CAPTURED")
        assert answer.json()["capturedAmount"] == "250.00"
        assert answer.json()["capturedAt"] >= answer.json()["authorisedAt"]

    def test_answers_authorised_when_the_capture_is_declined(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        declined = Outcome(OutcomeKind.DECLINED, reason="hold_too_small")
        processor.answers = [Outcome(OutcomeKind.APPROVED, "ref-1"), declined]
        ask = partial(merchant.post, "/payments", payment_body(capture=True), HTTP_PREFER="wait=10")
        answer = answered(ask)
        assert (answer.status_code, answer.json()["status"]) == (201, "AUTHORISED")

    def test_is_not_decided_while_the_capture_is_in_doubt(
        self, merchant: SigningClient, processor: FakeProcessor
    ) -> None:
        unknown = [Outcome(OutcomeKind.UNKNOWN)] * 500
        processor.answers = [Outcome(OutcomeKind.APPROVED, "ref-1"), *unknown]
        ask = partial(merchant.post, "/payments", payment_body(capture=True), HTTP_PREFER="wait=1")
        answer = answered(ask)
        shown = answer.json()
        assert (answer.status_code, shown["status"], shown["inDoubt"]) == (202, "AUTHORISED", True)

    @pytest.mark.parametrize("flag", [1, "true", None, "", []])
    def test_is_asked_for_with_true(self, merchant: SigningClient, flag: Any) -> None:
        refused(merchant.post("/payments", payment_body(capture=flag)), 400, "validation_failed")


class TestEndOfHold:
    def at(self, **ahead: float) -> str:
        return clock.iso(clock.now() + timedelta(**ahead))

    def test_is_as_was_asked_or_in_seven_days(self, merchant: SigningClient) -> None:
        soon = self.at(hours=1)
        for body in (payment_body(captureBefore=soon), payment_body()):
            ask = partial(merchant.post, "/payments/authorize", body)
            shown = answered(ask).json()
            latest = clock.parse(shown["authorisedAt"]) + timedelta(days=7)
            assert shown["captureBefore"] == body.get("captureBefore", clock.iso(latest))

    def test_is_taken_up_to_seven_days_ahead(self, merchant: SigningClient) -> None:
        for instant in (self.at(seconds=20), self.at(days=7, seconds=-5), "+00:00", "+05:30"):
            zoned = datetime.now(UTC) + timedelta(days=1)
            text = instant if len(instant) > 6 else zoned.replace(tzinfo=None).isoformat() + instant
            answer = merchant.post("/payments", payment_body(captureBefore=text))
            assert answer.status_code == 202, text

    def test_is_refused_beyond(self, merchant: SigningClient) -> None:
        refusals: list[Any] = [
            *(self.at(seconds=-1), self.at(days=7, seconds=5), self.at(days=-9999)),
            *("", "tomorrow", None, 0, 1789000000, True, [], "2026-13-01T00:00:00Z"),
            *(
                self.at(days=1).rstrip("Z"),
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
            ),
        ]
        for instant in refusals:
            answer = merchant.post("/payments", payment_body(captureBefore=instant))
            refused(answer, 400, "validation_failed")
            assert [error["field"] for error in answer.json()["errors"]] == ["captureBefore"]

    def test_is_no_reason_to_refuse_a_repeat(self, merchant: SigningClient) -> None:
        body = payment_body(captureBefore=self.at(hours=1))
        first = merchant.post("/payments", body)
        assert first.status_code == 202
        with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
            again = merchant.post("/payments", body)
            assert (again.status_code, again.content) == (202, first.content)
            late = payment_body(captureBefore=body["captureBefore"])
            refused(merchant.post("/payments", late), 400, "validation_failed")


def netbanking(**changes: Any) -> dict[str, Any]:
    method = {"type": "NETBANKING", "bankCode": "HDFC"}
    returns = {"returnUrl": "https://shop.example/thanks?order=1"}
    return payment_body(paymentMethod=method) | returns | changes


NOT_NETBANKING: dict[str, list[Any]] = {
    "returnUrl": [
        *("", "shop.example", "ftp://shop.example/", "javascript:alert(1)", "https://"),
        *("https://user:pw@shop.example/", "https://shop.example/a b", "//shop.example"),
        *("https://shop.example/\r\nX: y", "https://sh\u00f6p.example/", "http://[::1"),
        *("https://shop.example/" + "x" * 2000, None, 1, [], {}),
    ],
    "paymentMethod": [
        {"type": "NETBANKING"},
        {"type": "NETBANKING", "token": "tok_test"},
        {"type": "NETBANKING", "bankCode": "HDFC", "token": "tok_test"},
        {"type": "NETBANKING", "bankCode": ""},
        {"type": "CARD", "bankCode": "HDFC"},
        {"type": "CARD", "token": "tok_test", "bankCode": "HDFC"},
    ],
}


class TestNetbanking:
    @pytest.mark.parametrize(
        ("decision", "status"), [("approve", "AUTHORISED"), ("decline", "DECLINED")]
    )
    def test_sends_the_payer_to_the_bank_and_is_decided_there(
        self, merchant: SigningClient, decision: str, status: str
    ) -> None:
        body, asked_at = netbanking(), time.monotonic()
        answer = answered(lambda: merchant.post("/payments", body, HTTP_PREFER="wait=30"))
        assert time.monotonic() - asked_at < 20  # it waits for no payer
        payment = answer.json()
        assert (answer.status_code, payment["status"]) == (202, "PENDING")
        assert payment["paymentMethod"] == {"type": "NETBANKING", "bankCode": "HDFC"}
        action = payment["nextAction"]
        assert action["type"] == "REDIRECT"
        assert clock.parse(action["expiresAt"]) > clock.now()

        page = urllib3.request(
            "POST",
            action["url"],
            body=f"decision={decision}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            redirect=False,
        )
        assert page.headers["Location"].startswith("https://shop.example/thanks?order=1")
        hasten()
        drain()

        shown = merchant.get(f"/payments/{payment['paymentId']}").json()
        assert shown["status"] == status
        assert "nextAction" not in shown
        again = merchant.post("/payments", body)
        assert (again.status_code, again.json()["status"]) == (201, status)

    def test_is_told_again_where_the_payer_must_go(self, merchant: SigningClient) -> None:
        body = netbanking()
        first = answered(lambda: merchant.post("/payments", body, HTTP_PREFER="wait=30"))
        asked_at = time.monotonic()
        again = merchant.post("/payments", body, HTTP_PREFER="wait=30")
        assert time.monotonic() - asked_at < 20
        assert (again.status_code, again.json()["paymentId"]) == (202, first.json()["paymentId"])
        assert again.json()["nextAction"] == first.json()["nextAction"]
        assert "Idempotent-Replayed" not in again.headers

    @pytest.mark.parametrize("field", ["returnUrl", "paymentMethod"])
    def test_refuses(self, merchant: SigningClient, field: str) -> None:
        for value in NOT_NETBANKING[field]:
            answer = merchant.post("/payments", netbanking(**{field: value}))
            refused(answer, 400, "validation_failed")
            assert answer.json()["errors"][0]["field"].split(".")[0] == field, value

    def test_needs_to_know_where_the_payer_returns(self, merchant: SigningClient) -> None:
        body = netbanking()
        del body["returnUrl"]
        refused(merchant.post("/payments", body), 400, "validation_failed")
        assert (
            merchant.post("/payments", payment_body(returnUrl="http://x.example")).status_code
            == 202
        )


class TestListing:
    def test_shows_the_merchants_payments_newest_first(self, merchant: SigningClient) -> None:
        paid = [merchant.post("/payments", payment_body()).json() for _ in range(3)]
        assert merchant.get("/payments").json() == {"data": paid[::-1], "nextCursor": None}

    def test_filters_by_status(self, merchant: SigningClient) -> None:
        merchant.post("/payments", payment_body())
        drain()
        merchant.post("/payments", payment_body())
        for status, count in (("PENDING", 1), ("AUTHORISED", 1), ("FAILED", 0)):
            listed = merchant.get(f"/payments?status={status}").json()["data"]
            assert [payment["status"] for payment in listed] == [status] * count


class TestReading:
    def test_shows_a_payment_with_its_books_and_trail(self, merchant: SigningClient) -> None:
        accepted = merchant.post("/payments", payment_body()).json()
        drain()
        answer = merchant.get(f"/payments/{accepted['paymentId']}")
        assert answer.headers["X-Correlation-ID"] == accepted["correlationId"]
        assert answer.json()["ledgerBalance"] == "0.00"
        (entry,) = answer.json()["ledgerEntries"]
        journal = merchant.get(f"/ledger/journal/{accepted['correlationId']}").json()["data"]
        assert [one["entryId"] for one in journal] == [entry["entryId"]]
        debits = [posting.get("debit") for posting in journal[0]["postings"]]
        credits_ = [posting.get("credit") for posting in journal[0]["postings"]]
        assert sorted(debits + credits_, key=str) == ["250.00", "250.00", None, None]
        balances = merchant.get("/ledger/balances").json()["data"]
        assert [(one["currency"], one["pending"]) for one in balances] == [("USD", "250.00")]
        assessment = merchant.get(f"/fraud/assessments/{accepted['paymentId']}").json()
        assert (assessment["decision"], assessment["score"] + assessment["riskScore"]) == (
            "APPROVE",
            100,
        )
        events = merchant.get(f"/payments/{accepted['paymentId']}/events").json()["data"]
        assert {event["correlationId"] for event in events} == {accepted["correlationId"]}

    def test_knows_nothing_of_a_payment_before_it_was_assessed_and_posted(
        self, merchant: SigningClient
    ) -> None:
        accepted = merchant.post("/payments", payment_body()).json()
        journal = merchant.get(f"/ledger/journal/{accepted['correlationId']}")
        refused(journal, 404, "journal_not_found")
        assessment = merchant.get(f"/fraud/assessments/{accepted['paymentId']}")
        refused(assessment, 404, "assessment_not_found")
        assert merchant.get("/ledger/balances").json() == {"data": []}

    def test_leaves_no_transaction_open(self, merchant: SigningClient) -> None:
        refused(merchant.get(f"/payments/{uuid4()}"), 404, "payment_not_found")
        assert connection.get_autocommit()
