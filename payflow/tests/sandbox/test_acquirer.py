"""The acquirer: what it answers, what it refuses, and what then stands in its book."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from payflow.tests.sandbox.conftest import SECRET, Sandbox, new_key, order


class TestAuthorise:
    def test_answers_what_it_held(self, sandbox: Sandbox) -> None:
        key = new_key()

        reply = sandbox.authorise(key=key)

        assert reply.status == 201
        answer = reply.json()
        assert answer.pop("reference").startswith("auth_")
        assert answer == {
            "kind": "AUTHORISE",
            "status": "APPROVED",
            "amountMinor": 25_000,
            "currency": "USD",
        }
        [line] = sandbox.lines(key=key)
        assert line["authorisation"] == line["reference"] == reply.json()["reference"]
        assert (line["merchantReference"], line["acquirer"]) == ("pay-1", "sandbox")
        assert line["at"].endswith("Z")

    def test_keeps_acquirers_apart(self, sandbox: Sandbox) -> None:
        key = new_key()
        reference = sandbox.authorised(key=key, acquirer="sandbox-backup")

        assert sandbox.ask(key).status == 404
        assert sandbox.ask(key, "sandbox-backup").json()["reference"] == reference
        assert sandbox.capture(reference, 1).json()["reason"] == "authorisation_not_found"

    @pytest.mark.parametrize(
        "instrument",
        [
            {"type": "CARD", "number": "4242424242424242", "expMonth": 1, "expYear": 2030},
            {"type": "WALLET", "provider": "applepay", "walletId": "wallet-1"},
            {"type": "NETBANKING", "bankCode": "HDFC"},
            {"type": "TOKEN", "token": "tok_nobody_knows"},
            {"type": "TOKEN", "token": "declined"},
        ],
    )
    def test_approves_what_triggers_nothing(
        self, sandbox: Sandbox, instrument: dict[str, Any]
    ) -> None:
        assert sandbox.authorise(instrument=instrument).json()["status"] == "APPROVED"

    @pytest.mark.parametrize(
        "instrument",
        [
            {"type": "CARD", "number": "4000000000000002", "expMonth": 1, "expYear": 2030},
            {"type": "WALLET", "provider": "applepay", "walletId": "tok_declined"},
            {"type": "NETBANKING", "bankCode": "DECLINED"},
        ],
    )
    def test_declines_by_every_instrument(
        self, sandbox: Sandbox, instrument: dict[str, Any]
    ) -> None:
        answer = sandbox.authorise(instrument=instrument).json()
        assert (answer["status"], answer["reason"]) == ("DECLINED", "do_not_honor")


class TestIdempotency:
    def test_repeats_the_answer(self, sandbox: Sandbox) -> None:
        key = new_key()
        first, second = sandbox.authorise(key=key), sandbox.authorise(key=key)

        assert second.data == first.data
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        assert len(sandbox.lines(key=key)) == 1

    def test_refuses_another_body(self, sandbox: Sandbox) -> None:
        key = new_key()
        sandbox.authorise(key=key)
        reply = sandbox.authorise(key=key, amountMinor=1)
        assert (reply.status, reply.json()) == (409, {"error": "key_reused"})

    def test_refuses_the_key_of_another_verb(self, sandbox: Sandbox) -> None:
        key = new_key()
        reference = sandbox.authorised()
        sandbox.capture(reference, 1, key=key)
        assert sandbox.refund(reference, 1, key).json() == {"error": "key_reused"}

    def test_sixteen_threads_on_one_key_are_one_line(self, sandbox: Sandbox) -> None:
        key, barrier = new_key(), Barrier(16)

        def send(_: int) -> tuple[int, bytes]:
            barrier.wait()
            reply = sandbox.authorise(key=key)
            return reply.status, reply.data

        with ThreadPoolExecutor(16) as pool:
            answers = set(pool.map(send, range(16)))

        assert len(sandbox.lines(key=key)) == 1
        statuses = {status for status, _ in answers}
        assert statuses <= {201, 409}
        assert len([body for status, body in answers if status == 201]) == 1
        assert {body for status, body in answers if status == 409} <= {b'{"error": "in_progress"}'}


class TestFollowUps:
    def test_partial_captures_and_refunds(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised()
        answers = [
            sandbox.capture(reference, 10_000).json(),
            sandbox.capture(reference, 5_000, final=True).json(),
            sandbox.refund(reference, 14_000).json(),
            sandbox.refund(reference, 1_000).json(),
        ]
        assert [answer["status"] for answer in answers] == ["APPROVED"] * 4
        assert [answer["amountMinor"] for answer in answers] == [10_000, 5_000, 14_000, 1_000]

    def test_a_void_says_what_it_released(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised()
        sandbox.capture(reference, 10_000)
        answer = sandbox.void(reference).json()
        assert (answer["kind"], answer["amountMinor"]) == ("VOID", 15_000)
        assert answer["currency"] == "USD"

    def test_sixteen_captures_at_once_take_no_more_than_was_held(self, sandbox: Sandbox) -> None:
        reference, barrier = sandbox.authorised(), Barrier(16)

        def capture(_: int) -> str:
            barrier.wait()
            status: str = sandbox.capture(reference, 5_000).json()["status"]
            return status

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(capture, range(16)))

        assert statuses.count("APPROVED") == 5
        lines = sandbox.lines(authorisation=reference, kind="CAPTURE")
        assert sum(line["amountMinor"] for line in lines if line["status"] == "APPROVED") == 25_000
        refused = [line for line in lines if line["reason"] == "amount_exceeds_authorisation"]
        assert len(refused) == 11


class TestRefusals:
    """Each is DECLINED on the wire, and counted in the book."""

    def refused(self, sandbox: Sandbox, reply: Any, reason: str) -> None:
        answer = reply.json()
        assert (reply.status, answer["status"], answer["reason"]) == (201, "DECLINED", reason)
        [line] = sandbox.lines(reference=answer["reference"])
        assert (line["status"], line["reason"]) == ("DECLINED", reason)

    def test_over_capture(self, sandbox: Sandbox) -> None:
        reply = sandbox.capture(sandbox.authorised(), 25_001)
        self.refused(sandbox, reply, "amount_exceeds_authorisation")

    def test_over_refund(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised()
        sandbox.capture(reference, 100)
        sandbox.refund(reference, 60)
        self.refused(sandbox, sandbox.refund(reference, 41), "amount_exceeds_captured")

    def test_refund_before_capture(self, sandbox: Sandbox) -> None:
        self.refused(sandbox, sandbox.refund(sandbox.authorised(), 1), "not_captured")

    @pytest.mark.parametrize("verb", ["capture", "void"])
    def test_after_the_final_capture(self, sandbox: Sandbox, verb: str) -> None:
        reference = sandbox.authorised()
        sandbox.capture(reference, 100, final=True)
        reply = sandbox.void(reference) if verb == "void" else sandbox.capture(reference, 1)
        self.refused(sandbox, reply, "already_captured")

    @pytest.mark.parametrize("verb", ["capture", "void"])
    def test_after_the_void(self, sandbox: Sandbox, verb: str) -> None:
        reference = sandbox.authorised()
        sandbox.void(reference)
        reply = sandbox.void(reference) if verb == "void" else sandbox.capture(reference, 1)
        self.refused(sandbox, reply, "already_voided")

    def test_another_currency(self, sandbox: Sandbox) -> None:
        reply = sandbox.capture(sandbox.authorised(), 100, currency="EUR")
        self.refused(sandbox, reply, "currency_mismatch")

    def test_an_unknown_or_declined_authorisation(self, sandbox: Sandbox) -> None:
        declined = sandbox.authorise("tok_declined").json()["reference"]
        for reference in ("auth_nobody", declined):
            self.refused(sandbox, sandbox.capture(reference, 1), "authorisation_not_found")


BAD: list[dict[str, Any]] = [
    {"amountMinor": 0},
    {"amountMinor": -1},
    {"amountMinor": 1.5},
    {"amountMinor": "100"},
    {"amountMinor": True},
    {"amountMinor": 10**30},
    {"currency": "usd"},
    {"currency": "US"},
    {"currency": None},
    {"merchantReference": ""},
    {"merchantReference": "a\nb"},
    {"merchantReference": "x" * 201},
    {"instrument": None},
    {"instrument": "tok_test"},
    {"instrument": {"type": "CASH"}},
    {"instrument": {"type": "TOKEN"}},
    {"instrument": {"type": "CARD", "number": "4242", "expMonth": 1, "expYear": 2030}},
    {"instrument": {"type": "CARD", "number": "4242424242424242", "expMonth": 13, "expYear": 2030}},
    {"returnUrl": "javascript:alert(1)"},
    {"returnUrl": "http://example.com/\r\nX: y"},
    {"returnUrl": "https://shop.example\\@evil.example/"},
    {"callbackUrl": "ftp://127.0.0.1/"},
]


class TestBadInput:
    @pytest.mark.parametrize("more", BAD, ids=str)
    def test_is_refused_and_not_booked(self, sandbox: Sandbox, more: dict[str, Any]) -> None:
        key = new_key()
        reply = sandbox.authorise(key=key, **more)
        assert reply.status == 400
        assert set(reply.json()) == {"error"}
        assert sandbox.lines(key=key) == []

    def test_an_outer_callback_is_taken_and_never_called(self, sandbox: Sandbox) -> None:
        url = "https://pay.example.com/callback"
        assert sandbox.authorise("tok_duplicate", callbackUrl=url).status == 201

    @pytest.mark.parametrize("body", [[], "text", 1, None, {"amountMinor": 1, "currency": "USD"}])
    def test_of_a_capture(self, sandbox: Sandbox, body: Any) -> None:
        assert sandbox.follow_up("auth_x", "captures", body).status == 400

    def test_needs_a_key(self, sandbox: Sandbox) -> None:
        reply = sandbox.send("POST", "/acquirers/sandbox/authorisations", order())
        assert (reply.status, reply.json()) == (400, {"error": "idempotency_key_needed"})

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {SECRET}", "Bearer é"])
    def test_needs_the_secret(self, sandbox: Sandbox, given: str) -> None:
        for path in ("/book", "/acquirers/sandbox/operations/x", "/control/gates/x"):
            reply = sandbox.send("GET", path, Authorization=given)
            assert (reply.status, reply.json()) == (401, {"error": "unauthorised"})

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 200),
            ("GET", "/nowhere", 404),
            ("GET", "/acquirers/sandbox", 404),
            ("GET", "/acquirers/SANDBOX/operations/x", 404),
            ("GET", "/acquirers/stripe/operations/x", 404),
            ("GET", "/acquirers/sandbox/operations/", 404),
            ("GET", "/acquirers/sandbox/operations/x/y", 404),
            ("GET", "/acquirers/sandbox/authorisations", 405),
            ("DELETE", "/acquirers/sandbox/operations/x", 405),
            ("POST", "/book", 405),
            ("GET", "/book?after=-1", 400),
            ("GET", "/book?limit=many", 400),
            ("HEAD", "/book", 405),
            ("POST", "/acquirers/sandbox/authorisations/x/settlements", 404),
        ],
    )
    def test_paths_and_methods(self, sandbox: Sandbox, method: str, path: str, status: int) -> None:
        assert sandbox.send(method, path).status == status
