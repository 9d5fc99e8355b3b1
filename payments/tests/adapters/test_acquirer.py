"""The acquirer's protocol: answers that are none, banks that redirect, signed callbacks."""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from pytest_django import Settings

from payments.domain.processor import (
    LAPSED,
    Bank,
    Card,
    Outcome,
    ProcessorToken,
    Wallet,
)
from payments.tests.adapters.conftest import Sandbox
from payments.tests.adapters.peers import Peer, answer, request_of
from payments.tests.adapters.rails import (
    APPROVED,
    BANK,
    CAPTURE,
    CARD,
    DECLINED,
    NOT_SENT,
    PENDING,
    REFUND,
    UNKNOWN,
    VOID,
    WALLET,
    Rail,
    after,
    until,
)
from shared import clock

CARD_NUMBER = "4000000000009995"
SECRET = "a secret that both sides know"


def approved(**changes: Any) -> dict[str, Any]:
    """What the acquirer says when all is well, but for what a test changes."""
    whole = {
        "reference": "ref_1",
        "kind": "AUTHORISE",
        "status": "APPROVED",
        "amountMinor": 25_000,
        "currency": "USD",
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


@pytest.fixture
def configured(settings: Settings) -> Settings:
    settings.SANDBOX_SECRET = SECRET
    settings.PUBLIC_URL = "https://pay.example.com"
    settings.PROCESSOR_TIMEOUT_SECONDS = 2
    return settings


@pytest.fixture
def said(configured: Settings) -> Iterator[Any]:
    """An acquirer that gives one answer, and what we send it and take from that."""
    peers: list[Peer] = []

    def say(content: object, status: str = "201 Created") -> Peer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        heard: SimpleQueue[bytes] = SimpleQueue()

        def talk(connection: Any) -> None:
            while request := request_of(connection):
                heard.put(request)
                connection.sendall(answer(body, status=status))

        peer = Peer(talk).__enter__()
        peers.append(peer)
        configured.SANDBOX_URL = peer.url
        peer.heard = heard  # type: ignore[attr-defined]
        return peer

    yield say
    for peer in peers:
        peer.__exit__(None, None, None)


class TestWhatIsSent:
    @pytest.mark.parametrize(
        ("rail", "instrument", "expected"),
        [
            (CARD, ProcessorToken("tok_a"), {"type": "TOKEN", "token": "tok_a"}),
            (
                CARD,
                Card("4242424242424242", 1, 2030),
                {"type": "CARD", "number": "4242424242424242", "expMonth": 1, "expYear": 2030},
            ),
            (WALLET, Wallet("x", "y"), {"type": "WALLET", "provider": "x", "walletId": "y"}),
            (WALLET, ProcessorToken("tok_a"), {"type": "TOKEN", "token": "tok_a"}),
            (BANK, Bank("HDFC"), {"type": "NETBANKING", "bankCode": "HDFC"}),
        ],
    )
    def test_authorise(self, said: Any, rail: Rail, instrument: Any, expected: Any) -> None:
        peer = said(approved())
        wanted = rail.wanted(instrument=instrument, return_url="https://shop.example/back")
        assert rail.send(wanted) == Outcome(APPROVED, "ref_1")
        head, _, body = peer.heard.get().partition(b"\r\n\r\n")
        name = rail.processor.name
        assert head.startswith(f"POST /acquirers/{name}/authorisations HTTP/1.1".encode())
        assert f"\r\nAuthorization: Bearer {SECRET}\r\n".encode() in head
        assert f"\r\nIdempotency-Key: {wanted.operation_id}".encode() in head
        assert json.loads(body) == {
            "amountMinor": 25_000,
            "currency": "USD",
            "merchantReference": str(wanted.payment_id),
            "instrument": expected,
            "callbackUrl": f"https://pay.example.com/api/v1/processor-callbacks/{name}",
            "returnUrl": "https://shop.example/back",
        }

    @pytest.mark.parametrize(
        ("kind", "verb", "body"),
        [
            (CAPTURE, "captures", {"amountMinor": 100, "currency": "USD", "final": False}),
            (VOID, "voids", {}),
            (REFUND, "refunds", {"amountMinor": 100, "currency": "USD"}),
        ],
    )
    def test_what_follows(self, said: Any, kind: Any, verb: str, body: Any) -> None:
        peer = said(approved(kind=kind.value, amountMinor=100))
        asked = after(CARD.wanted(), kind, 100, authorisation_reference="a/b?c", is_final=False)
        assert CARD.send(asked).kind == APPROVED
        head, _, sent = peer.heard.get().partition(b"\r\n\r\n")
        assert head.startswith(
            f"POST /acquirers/sandbox/authorisations/a%2Fb%3Fc/{verb} HTTP/1.1".encode()
        )
        assert json.loads(sent) == body

    @pytest.mark.parametrize(
        ("rail", "instrument"),
        [
            (CARD, Wallet("x", "y")),
            (CARD, Bank("HDFC")),
            (WALLET, Card("4242424242424242", 1, 2030)),
            (BANK, ProcessorToken("tok_a")),
            (BANK, None),
        ],
    )
    def test_nothing_for_an_instrument_of_somebody_else(
        self, said: Any, rail: Rail, instrument: Any
    ) -> None:
        peer = said(approved())
        outcome = rail.send(rail.wanted(instrument=instrument))
        assert outcome == Outcome(NOT_SENT, reason="instrument_not_taken")
        assert peer.connections == 0


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "content", "outcome"),
        [
            ("400 Bad Request", {"error": "x"}, Outcome(DECLINED, reason="invalid_request")),
            ("400 Bad Request", b"<html>", Outcome(UNKNOWN, reason="not_json")),
            (
                "401 Unauthorized",
                {"error": "x"},
                Outcome(NOT_SENT, reason="processor_refused_credentials"),
            ),
            ("404 Not Found", {"error": "not_found"}, Outcome(UNKNOWN, reason="http_404")),
            ("404 Not Found", b"<html>", Outcome(UNKNOWN, reason="not_json")),
            ("409 Conflict", {"error": "in_progress"}, Outcome(UNKNOWN, reason="in_progress")),
            ("409 Conflict", {"error": "key_reused"}, Outcome(UNKNOWN, reason="key_reused")),
            ("409 Conflict", {"error": "other"}, Outcome(UNKNOWN, reason="http_409")),
            ("429 Too Many", {"error": "x"}, Outcome(UNKNOWN, reason="http_429")),
            ("500 Oops", approved(), Outcome(UNKNOWN, reason="http_500")),
            ("302 Found", approved(), Outcome(UNKNOWN, reason="http_302")),
            ("200 OK", {"error": "but ok"}, Outcome(UNKNOWN, reason="http_200")),
        ],
    )
    def test_by_status(self, said: Any, status: str, content: Any, outcome: Outcome) -> None:
        said(content, status)
        assert CARD.send(CARD.wanted()) == outcome

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"amountMinor": 25_001}, "amount_mismatch"),
            ({"amountMinor": 25_000.0}, "amount_mismatch"),
            ({"amountMinor": "25000"}, "amount_mismatch"),
            ({"amountMinor": ...}, "amount_mismatch"),
            ({"currency": "EUR"}, "amount_mismatch"),
            ({"currency": ...}, "amount_mismatch"),
            ({"status": "DECLINED", "amountMinor": 1}, "amount_mismatch"),
            ({"kind": "CAPTURE"}, "unexpected_answer"),
            ({"kind": ...}, "unexpected_answer"),
            ({"status": "MAYBE"}, "unexpected_answer"),
            ({"status": ["APPROVED"]}, "unexpected_answer"),
            ({"status": ...}, "unexpected_answer"),
            ({"reference": ...}, "unexpected_answer"),
            ({"reference": ""}, "unexpected_answer"),
            ({"reference": "a\0b"}, "unexpected_answer"),
            ({"reference": "\ud800"}, "unexpected_answer"),
            ({"reference": "x" * 201}, "unexpected_answer"),
            ({"status": "PENDING", "redirect": "https://bank"}, "unexpected_answer"),
            ({"status": "PENDING", "redirect": {"url": "https://bank"}}, "unexpected_answer"),
        ],
    )
    def test_that_are_not_as_published_are_doubts(
        self, said: Any, changes: dict[str, Any], reason: str
    ) -> None:
        said(approved(**changes))
        assert CARD.send(CARD.wanted()) == Outcome(UNKNOWN, reason=reason)

    @pytest.mark.parametrize("reason", [None, 7, "Do Not Honour", "x" * 100, "a\0"])
    def test_a_strange_reason_changes_no_outcome(self, said: Any, reason: object) -> None:
        said(approved(status="DECLINED", reason=reason))
        assert CARD.send(CARD.wanted()) == Outcome(DECLINED, "ref_1", "declined")

    @pytest.mark.parametrize(
        ("url", "expires_at"),
        [
            ("javascript:alert(1)", "2030-01-01T00:00:00Z"),
            ("//bank.example", "2030-01-01T00:00:00Z"),
            (7, "2030-01-01T00:00:00Z"),
            ("https://bank.example/\0", "2030-01-01T00:00:00Z"),
            ("https://bank.example/\r\nX: y", "2030-01-01T00:00:00Z"),
            ("https://bank.example/" + "x" * 2_000, "2030-01-01T00:00:00Z"),
            ("https://bank.example", "2030-01-01T00:00:00"),
            ("https://bank.example", "soon"),
            ("https://bank.example", 1),
        ],
    )
    def test_a_redirect_leads_to_a_web_page(self, said: Any, url: Any, expires_at: Any) -> None:
        said(approved(status="PENDING", redirect={"url": url, "expiresAt": expires_at}))
        assert CARD.send(CARD.wanted()) == Outcome(UNKNOWN, reason="unexpected_answer")

    @pytest.mark.parametrize(
        ("status", "content", "kind"),
        [
            ("404 Not Found", {"error": "not_found"}, NOT_SENT),
            ("404 Not Found", {"error": "no such path"}, UNKNOWN),
            ("404 Not Found", b"<html>nothing here</html>", UNKNOWN),
            ("400 Bad Request", {"error": "x"}, UNKNOWN),
            ("401 Unauthorized", {"error": "x"}, UNKNOWN),
            ("409 Conflict", {"error": "in_progress"}, UNKNOWN),
            ("503 Unavailable", {"error": "not_found"}, UNKNOWN),
            ("200 OK", approved(), APPROVED),
            ("200 OK", approved(amountMinor=1), UNKNOWN),
        ],
    )
    def test_to_inquiries(self, said: Any, status: str, content: Any, kind: Any) -> None:
        said(content, status)
        assert CARD.ask(CARD.wanted()).kind == kind

    def test_a_void_names_no_amount(self, said: Any) -> None:
        said(approved(kind="VOID", amountMinor=1))
        assert CARD.send(after(CARD.wanted(), VOID, 100)).kind == APPROVED

    def test_a_void_of_a_released_hold_is_approved(self, said: Any) -> None:
        said(approved(kind="VOID", status="DECLINED", reason="already_voided"))
        assert CARD.send(after(CARD.wanted(), VOID, 100)) == Outcome(APPROVED, "ref_1")


@pytest.mark.usefixtures("sandbox")
class TestCards:
    def test_numbers_decide_as_documented(self) -> None:
        wanted = CARD.wanted(instrument=Card(CARD_NUMBER, 1, 2034))
        assert CARD.send(wanted).reason == "insufficient_funds"

    def test_numbers_show_nowhere(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level("DEBUG")
        wanted = CARD.wanted(instrument=Card(CARD_NUMBER, 1, 2034))
        shown = [repr(wanted), repr(CARD.send(wanted)), caplog.text, *capfd.readouterr()]
        assert caplog.records, "something was logged at this level"
        assert not [text for text in shown if CARD_NUMBER in text]


class TestBanks:
    def test_wait_for_the_payer_and_believe_the_book(self, sandbox: Sandbox) -> None:
        wanted = BANK.wanted("hdfc")
        outcome = BANK.send(wanted)
        assert outcome.kind == PENDING
        assert outcome.redirect is not None
        assert outcome.redirect.url.startswith(sandbox.url)
        assert clock.now() < outcome.redirect.expires_at < clock.now() + timedelta(minutes=16)
        assert BANK.ask(wanted) == outcome
        _decide(outcome, "approve")
        assert BANK.ask(wanted) == Outcome(APPROVED, outcome.reference)
        hold = after(wanted, CAPTURE, 25_000, authorisation_reference=outcome.reference)
        assert BANK.send(hold).kind == APPROVED
        assert len(sandbox.approved(wanted.operation_id)) == 1

    @pytest.mark.usefixtures("sandbox")
    def test_tell_that_the_payer_declined(self) -> None:
        wanted = BANK.wanted("hdfc")
        _decide(BANK.send(wanted), "decline")
        assert BANK.ask(wanted).kind == DECLINED

    @pytest.mark.usefixtures("sandbox")
    def test_tell_that_the_payer_never_came(self) -> None:
        wanted = BANK.wanted("expires")
        assert BANK.send(wanted).kind == PENDING
        until(lambda: BANK.ask(wanted).kind == DECLINED)
        assert BANK.ask(wanted).reason in LAPSED

    @pytest.mark.parametrize("trigger", ["bad_gateway", "half_body", "no_json"])
    def test_in_doubt_are_asked_and_wait_for_the_payer(
        self, sandbox: Sandbox, trigger: str
    ) -> None:
        wanted = BANK.wanted(trigger)
        assert BANK.send(wanted).kind == UNKNOWN
        told = BANK.ask(wanted)
        assert (told.kind, bool(told.redirect)) == (PENDING, True)
        assert BANK.send(wanted) == told
        _decide(told, "approve")
        assert BANK.ask(wanted) == Outcome(APPROVED, told.reference)
        assert len(sandbox.approved(wanted.operation_id)) == 1

    def test_in_doubt_that_booked_nothing_are_sent_again(self, sandbox: Sandbox) -> None:
        wanted = BANK.wanted("bad_gateway_before")
        assert BANK.send(wanted).kind == UNKNOWN
        assert BANK.ask(wanted).kind == NOT_SENT
        assert BANK.send(wanted).kind == PENDING
        assert len(sandbox.lines(wanted.operation_id)) == 1

    def test_call_back_with_a_signature_of_their_own(
        self, sandbox: Sandbox, settings: Settings
    ) -> None:
        heard: SimpleQueue[bytes] = SimpleQueue()

        def talk(connection: Any) -> None:
            while request := request_of(connection):
                heard.put(request)
                connection.sendall(answer())

        with Peer(talk) as peer:
            settings.PUBLIC_URL = peer.url
            wanted = BANK.wanted("hdfc")
            _decide(BANK.send(wanted), "approve")
            head, _, body = heard.get(timeout=10).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        assert first.startswith("POST /api/v1/processor-callbacks/sandbox-bank ")
        assert BANK.processor.read_callback(headers, body) == wanted.operation_id


def _decide(outcome: Outcome, decision: str) -> None:
    """Do what the payer does on the bank's page."""
    assert outcome.redirect is not None
    form = urllib.parse.urlencode({"decision": decision}).encode()
    with urllib.request.urlopen(outcome.redirect.url, form, timeout=10) as page:
        assert page.status == 200
