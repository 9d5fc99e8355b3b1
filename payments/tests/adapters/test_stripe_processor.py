"""Stripe through its library: what is sent, what refusals mean, and how operations are found."""

import json
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from payments.adapters.stripe_calls import MAX_PAGES
from payments.domain.processor import (
    Bank,
    Card,
    Instruction,
    OperationKind,
    Outcome,
    ProcessorToken,
    Wallet,
)
from payments.tests.adapters.peers import Peer, answer, request_of
from payments.tests.adapters.rails import (
    APPROVED,
    CAPTURE,
    DECLINED,
    NOT_SENT,
    PENDING,
    REFUND,
    STRIPE,
    UNKNOWN,
    VOID,
    after,
)

CARD_NUMBER = "4000000000009995"

Say = Callable[[bytes], tuple[str, Any]]


class Face(Peer):
    """A Stripe that answers as a test tells it, and remembers what it was asked."""

    def __init__(self, say: Say) -> None:
        self.heard: list[tuple[str, dict[str, str]]] = []

        def talk(connection: Any) -> None:
            while request := request_of(connection):
                head, _, body = request.partition(b"\r\n\r\n")
                form = dict(urllib.parse.parse_qsl(body.decode()))
                self.heard.append((head.decode(), form))
                status, content = say(request)
                text = content if isinstance(content, bytes) else json.dumps(content).encode()
                connection.sendall(answer(text, status=status))

        super().__init__(talk)


@pytest.fixture
def configured(settings: Settings) -> Settings:
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    settings.PROCESSOR_TIMEOUT_SECONDS = 2
    return settings


def told(settings: Settings, instruction: Instruction, content: Any, status: str = "200 OK") -> Any:
    """What we make of one answer to something that was sent."""
    with Face(lambda request: (status, content)) as face:
        settings.STRIPE_API_BASE = face.url
        return STRIPE.send(instruction)


def intent(wanted: Instruction, **changes: Any) -> dict[str, Any]:
    """A PaymentIntent that holds what was asked for, but for what a test changes."""
    whole = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": wanted.amount_minor,
        "amount_received": 0,
        "created": int(wanted.planned_at.timestamp()),
        "currency": wanted.currency.lower(),
        "latest_charge": "ch_1",
        "metadata": {"operation_id": str(wanted.operation_id)},
        "next_action": None,
        "status": "requires_capture",
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def refusal(kind: str, **details: Any) -> dict[str, Any]:
    """Stripe's error object."""
    return {"error": {"type": kind, "message": "No.", **details}}


class TestWhatIsSent:
    def test_a_hold_in_stripes_words(self, configured: Settings) -> None:
        wanted = STRIPE.wanted(return_url="https://shop.example/back")
        with Face(lambda request: ("200 OK", intent(wanted))) as face:
            configured.STRIPE_API_BASE = face.url
            assert STRIPE.send(wanted) == Outcome(APPROVED, "pi_1")
        [(head, form)] = face.heard
        assert head.startswith("POST /v1/payment_intents HTTP/1.1")
        assert f"\r\nIdempotency-Key: {wanted.operation_id}\r\n" in head
        assert "\r\nAuthorization: Bearer sk_test_1\r\n" in head
        assert form == {
            "amount": "25000",
            "currency": "usd",
            "capture_method": "manual",
            "confirm": "true",
            "payment_method_types[0]": "card",
            "payment_method_options[card][request_multicapture]": "if_available",
            "metadata[operation_id]": str(wanted.operation_id),
            "metadata[payment_id]": str(wanted.payment_id),
            "payment_method_data[type]": "card",
            "payment_method_data[card][token]": "tok_test",
            "return_url": "https://shop.example/back",
        }

    @pytest.mark.parametrize(
        ("instrument", "expected"),
        [
            (ProcessorToken("pm_card_visa"), {"payment_method": "pm_card_visa"}),
            (
                Card("4242424242424242", 1, 2030),
                {
                    "payment_method_data[type]": "card",
                    "payment_method_data[card][number]": "4242424242424242",
                    "payment_method_data[card][exp_month]": "1",
                    "payment_method_data[card][exp_year]": "2030",
                },
            ),
        ],
    )
    def test_instruments(self, configured: Settings, instrument: Any, expected: Any) -> None:
        wanted = STRIPE.wanted(instrument=instrument)
        with Face(lambda request: ("200 OK", intent(wanted))) as face:
            configured.STRIPE_API_BASE = face.url
            STRIPE.send(wanted)
        [(_, form)] = face.heard
        assert {k: v for k, v in form.items() if k.startswith("payment_method")} == expected | {
            "payment_method_types[0]": "card",
            "payment_method_options[card][request_multicapture]": "if_available",
        }

    @pytest.mark.parametrize("is_final", [True, False])
    def test_only_a_capture_that_is_not_the_last_says_so(
        self, configured: Settings, is_final: bool
    ) -> None:
        asked = after(
            STRIPE.wanted(), CAPTURE, 100, is_final=is_final, authorisation_reference="pi_1"
        )
        with Face(lambda request: ("400 Bad Request", refusal("invalid_request_error"))) as face:
            configured.STRIPE_API_BASE = face.url
            STRIPE.send(asked)
        [(head, form)] = face.heard
        assert head.startswith("POST /v1/payment_intents/pi_1/capture HTTP/1.1")
        assert form.get("final_capture") == (None if is_final else "false")
        assert form[f"metadata[capture_{asked.operation_id.hex}]"] == "100"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"instrument": Wallet("x", "y")}, "instrument_not_taken"),
            ({"instrument": Bank("HDFC")}, "instrument_not_taken"),
            ({"instrument": None}, "instrument_not_taken"),
            ({"currency": "UGX"}, "currency_not_taken"),
            ({"currency": "MGA"}, "currency_not_taken"),
        ],
    )
    def test_nothing_that_stripe_takes_otherwise(
        self, configured: Settings, changes: dict[str, Any], reason: str
    ) -> None:
        configured.STRIPE_API_BASE = "http://127.0.0.1:9"
        assert STRIPE.send(STRIPE.wanted(**changes)) == Outcome(NOT_SENT, reason=reason)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "content", "outcome"),
        [
            (
                "402 Payment Required",
                refusal("card_error", code="card_declined", decline_code="insufficient_funds"),
                Outcome(DECLINED, reason="insufficient_funds"),
            ),
            (
                "402 Payment Required",
                refusal("card_error", code="expired_card"),
                Outcome(DECLINED, reason="expired_card"),
            ),
            (
                "402 Payment Required",
                refusal("card_error", code="processing_error"),
                Outcome(DECLINED, reason="processing_error", is_retryable=True),
            ),
            (
                "402 Payment Required",
                refusal("card_error", code="card_declined", decline_code="try_again_later"),
                Outcome(DECLINED, reason="try_again_later", is_retryable=True),
            ),
            (
                "402 Payment Required",
                refusal("card_error", code=["what"]),
                Outcome(DECLINED, reason="card_declined"),
            ),
            (
                "400 Bad Request",
                refusal("idempotency_error"),
                Outcome(UNKNOWN, reason="key_reused"),
            ),
            (
                "400 Bad Request",
                refusal("invalid_request_error", code="amount_too_large"),
                Outcome(DECLINED, reason="amount_too_large"),
            ),
            (
                "400 Bad Request",
                refusal("invalid_request_error"),
                Outcome(DECLINED, reason="invalid_request"),
            ),
            (
                "401 Unauthorized",
                refusal("invalid_request_error"),
                Outcome(NOT_SENT, reason="processor_refused_credentials"),
            ),
            (
                "403 Forbidden",
                refusal("invalid_request_error"),
                Outcome(NOT_SENT, reason="processor_refused_credentials"),
            ),
            (
                "409 Conflict",
                refusal("idempotency_error", code="idempotency_key_in_use"),
                Outcome(UNKNOWN, reason="idempotency_key_in_use"),
            ),
            (
                "409 Conflict",
                refusal("invalid_request_error", code="lock_timeout"),
                Outcome(UNKNOWN, reason="lock_timeout"),
            ),
            (
                "429 Too Many Requests",
                refusal("invalid_request_error", code="lock_timeout"),
                Outcome(UNKNOWN, reason="lock_timeout"),
            ),
            (
                "429 Too Many Requests",
                refusal("invalid_request_error", code="rate_limit"),
                Outcome(NOT_SENT, reason="rate_limited"),
            ),
            ("500 Oops", refusal("api_error"), Outcome(UNKNOWN, reason="http_500")),
            ("502 Bad Gateway", b"<html>", Outcome(UNKNOWN, reason="http_502")),
            ("404 Not Found", b"<html>", Outcome(UNKNOWN, reason="not_json")),
            ("400 Bad Request", {"error": "text"}, Outcome(UNKNOWN, reason="http_400")),
            ("400 Bad Request", [], Outcome(UNKNOWN, reason="not_json")),
        ],
    )
    def test_mean(self, configured: Settings, status: str, content: Any, outcome: Outcome) -> None:
        wanted = STRIPE.wanted()
        assert told(configured, wanted, content, status) == outcome

    @pytest.mark.parametrize("kind", OperationKind)
    @pytest.mark.parametrize("status", ["400 Bad", "401 Bad", "402 Bad", "404 Bad", "429 Bad"])
    def test_say_nothing_when_they_answer_an_inquiry(
        self, configured: Settings, status: str, kind: OperationKind
    ) -> None:
        asked = after(STRIPE.wanted(), kind, 100, authorisation_reference="pi_1")
        with Face(lambda request: (status, refusal("invalid_request_error", code="no"))) as face:
            configured.STRIPE_API_BASE = face.url
            assert STRIPE.ask(asked) == Outcome(UNKNOWN, reason="no")


class TestAnswers:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"amount": 25_001}, "amount_mismatch"),
            ({"currency": "eur"}, "amount_mismatch"),
            ({"amount": 25_000.0}, "unexpected_answer"),
            ({"amount": ...}, "unexpected_answer"),
            ({"id": "pi 1\0"}, "unexpected_answer"),
            ({"status": "requires_confirmation"}, "unexpected_answer"),
            ({"status": 7}, "unexpected_answer"),
            ({"metadata": {}}, "unexpected_answer"),
            ({"metadata": {"operation_id": "another"}}, "unexpected_answer"),
            ({"metadata": []}, "unexpected_answer"),
            ({"metadata": "x"}, "unexpected_answer"),
            ({"created": 10**30}, "unexpected_answer"),
            ({"object": ["list"]}, None),
            (
                {
                    "status": "requires_action",
                    "next_action": {"redirect_to_url": {"url": "javascript:1"}},
                },
                "unexpected_answer",
            ),
        ],
    )
    def test_that_are_not_as_published_are_doubts(
        self, configured: Settings, changes: dict[str, Any], reason: str | None
    ) -> None:
        wanted = STRIPE.wanted()
        outcome = told(configured, wanted, intent(wanted, **changes))
        expected = Outcome(UNKNOWN, reason=reason) if reason else Outcome(APPROVED, "pi_1")
        assert outcome == expected

    @pytest.mark.parametrize("content", [{}, {"object": "payment_intent"}, {"data": 1}, {"id": 1}])
    @pytest.mark.parametrize("kind", OperationKind)
    def test_of_any_other_shape_raise_nothing(
        self, configured: Settings, content: Any, kind: OperationKind
    ) -> None:
        wanted = STRIPE.wanted()
        asked = after(wanted, kind, 100, authorisation_reference="pi_1")
        asked = replace(asked, instrument=wanted.instrument)
        with Face(lambda request: ("200 OK", content)) as face:
            configured.STRIPE_API_BASE = face.url
            assert STRIPE.send(asked) == Outcome(UNKNOWN, reason="unexpected_answer")
            assert STRIPE.ask(asked) == Outcome(UNKNOWN, reason="unexpected_answer")

    @pytest.mark.parametrize(
        ("received", "noted", "kind"),
        [
            (100, {}, APPROVED),
            (160, {"capture_other": "60"}, APPROVED),
            (101, {}, UNKNOWN),
            (160, {}, UNKNOWN),
            (100, {"capture_other": "60"}, UNKNOWN),
            (100, {"capture_other": "x"}, UNKNOWN),
        ],
    )
    def test_a_captures_sum_is_the_sum_of_our_captures(
        self, configured: Settings, received: int, noted: dict[str, str], kind: Any
    ) -> None:
        asked = after(STRIPE.wanted(), CAPTURE, 100, authorisation_reference="pi_1")
        ours = {f"capture_{asked.operation_id.hex}": "100"}
        content = intent(asked, status="succeeded", amount_received=received, metadata=ours | noted)
        assert told(configured, asked, content).kind == kind

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            ("succeeded", APPROVED),
            ("pending", PENDING),
            ("requires_action", PENDING),
            ("failed", DECLINED),
            ("canceled", DECLINED),
            ("strange", UNKNOWN),
        ],
    )
    def test_a_refunds_status(self, configured: Settings, status: str, kind: Any) -> None:
        asked = after(STRIPE.wanted(), REFUND, 100, authorisation_reference="pi_1")
        content = intent(asked, id="re_1", object="refund", status=status)
        assert told(configured, asked, content).kind == kind
        assert told(configured, asked, content | {"amount": 99}).kind == UNKNOWN

    def test_a_cancel_that_leaves_something_held_is_a_doubt(self, configured: Settings) -> None:
        asked = after(STRIPE.wanted(), VOID, 100, authorisation_reference="pi_1")
        assert told(configured, asked, intent(asked, status="processing")).kind == UNKNOWN


class TestSearch:
    def test_reads_page_after_page(self, configured: Settings) -> None:
        wanted = STRIPE.wanted()
        others = [intent(STRIPE.wanted(), id=f"pi_{n}") for n in range(5)]
        pages = [others[:2], others[2:4], [others[4], intent(wanted, id="pi_ours")]]
        listed = iter({"data": page, "has_more": page is not pages[-1]} for page in pages)
        with Face(lambda request: ("200 OK", next(listed))) as face:
            configured.STRIPE_API_BASE = face.url
            assert STRIPE.ask(wanted) == Outcome(APPROVED, "pi_ours")
        asked = [head.split(" ")[1] for head, _ in face.heard]
        since = int(wanted.planned_at.timestamp()) - 120
        assert all(
            f"created%5Bgte%5D={since}" in path or f"[gte]={since}" in path for path in asked
        )
        assert ["starting_after" in path for path in asked] == [False, True, True]
        assert "starting_after=pi_3" in asked[2]

    def test_admits_that_it_does_not_know_beyond_its_bound(self, configured: Settings) -> None:
        endless = {"data": [intent(STRIPE.wanted())], "has_more": True}
        with Face(lambda request: ("200 OK", endless)) as face:
            configured.STRIPE_API_BASE = face.url
            outcome = STRIPE.ask(STRIPE.wanted())
        assert outcome == Outcome(UNKNOWN, reason="too_many_to_search")
        assert len(face.heard) == MAX_PAGES


def test_the_library_is_imported_when_it_is_needed_and_not_before() -> None:
    code = "import sys, payments.adapters.registry; sys.exit('stripe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
