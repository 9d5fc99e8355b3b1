"""Every fault: what the client sees, and what the book and an inquiry then say."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

import payflow.sandbox
from payflow.sandbox.faults import (
    CARDS,
    Doubt,
    Fault,
    Trigger,
    chaos_strike,
    is_deaf,
    read_trigger,
    strike_of,
    token_trigger,
)
from payflow.sandbox.order import Kind
from payflow.tests.sandbox.conftest import Sandbox, new_key, order, receiver, wait_until

NO_ANSWER = (urllib3.exceptions.ProtocolError, urllib3.exceptions.NewConnectionError)


def send(sandbox: Sandbox, token: str, key: str, **more: Any) -> str:
    """What the client sees: the status of an answer, or in a word why there is none."""
    started = time.monotonic()
    try:
        reply = sandbox.authorise(token, key=key, **more)
    except NO_ANSWER as error:
        if "reset" in str(error).lower():
            return "reset"
        if "incomplete" in str(error).lower():
            return "half"
        return "hang" if time.monotonic() - started > 0.9 else "closed"
    if reply.status == 502:
        assert reply.headers["Content-Type"] == "text/html"
        return "502"
    if reply.headers["Content-Type"] != "application/json":
        return "no json"
    status: str = reply.json()["status"]
    return status


def statuses(sandbox: Sandbox, key: str) -> list[str]:
    return [line["status"] for line in sandbox.lines(key=key)]


def asked(sandbox: Sandbox, key: str) -> str | int:
    reply = sandbox.ask(key)
    return str(reply.json()["status"]) if reply.status == 200 else reply.status


DOUBTS = [
    # token, what the first send sees, what is in the book then
    ("tok_timeout_before", "hang", []),
    ("tok_timeout_after_charge", "hang", ["APPROVED"]),
    ("tok_bad_gateway_before", "502", []),
    ("tok_bad_gateway", "502", ["APPROVED"]),
    ("tok_half_body", "half", ["APPROVED"]),
    ("tok_no_json", "no json", ["APPROVED"]),
    ("tok_deaf", "closed", ["APPROVED"]),
    ("tok_mute_inquiry", "closed", ["APPROVED"]),
]


class TestDoubts:
    @pytest.mark.parametrize(("token", "seen", "booked"), DOUBTS)
    def test_the_first_send_ends_in_doubt_and_the_second_tells(
        self, sandbox: Sandbox, token: str, seen: str, booked: list[str]
    ) -> None:
        key = new_key()

        assert send(sandbox, token, key) == seen
        assert statuses(sandbox, key) == booked
        if token not in ("tok_deaf", "tok_mute_inquiry"):
            assert asked(sandbox, key) == (booked[0] if booked else 404)

        assert send(sandbox, token, key) == "APPROVED"
        assert statuses(sandbox, key) == ["APPROVED"]

    def test_unreachable_resets_twice(self, sandbox: Sandbox) -> None:
        key = new_key()
        seen = [send(sandbox, "tok_unreachable", key) for _ in range(3)]
        assert seen == ["reset", "reset", "APPROVED"]
        assert statuses(sandbox, key) == ["APPROVED"]

    def test_late_is_booked_after_an_inquiry_has_found_nothing(self, sandbox: Sandbox) -> None:
        key = new_key()
        started = time.monotonic()
        assert send(sandbox, "tok_late", key) == "closed"
        assert asked(sandbox, key) == 404
        wait_until(lambda: asked(sandbox, key) == "APPROVED")
        assert 2.5 < time.monotonic() - started < 10
        assert statuses(sandbox, key) == ["APPROVED"]

    def test_late_is_booked_once_when_it_is_sent_again(self, sandbox: Sandbox) -> None:
        key = new_key()
        assert send(sandbox, "tok_late", key) == "closed"
        assert send(sandbox, "tok_late", key) == "APPROVED"
        time.sleep(3.5)
        assert statuses(sandbox, key) == ["APPROVED"]

    @pytest.mark.parametrize("verb", ["capture", "void", "refund"])
    def test_strikes_the_call_that_the_token_names(self, sandbox: Sandbox, verb: str) -> None:
        reference, key = sandbox.authorised(f"tok_{verb}_timeout_after_charge"), new_key()
        if verb == "refund":
            sandbox.capture(reference, 100)
        body: dict[str, Any] = {"amountMinor": 100, "currency": "USD", "final": True}
        with pytest.raises(NO_ANSWER):
            sandbox.follow_up(reference, f"{verb}s", {} if verb == "void" else body, key)
        assert asked(sandbox, key) == "APPROVED"
        assert statuses(sandbox, key) == ["APPROVED"]

    def test_other_calls_of_it_are_well(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised("tok_refund_declined")
        assert sandbox.capture(reference, 100).json()["status"] == "APPROVED"
        assert sandbox.refund(reference, 1).json()["reason"] == "do_not_honor"
        assert sandbox.lines(authorisation=reference, kind="REFUND")[0]["status"] == "DECLINED"


class TestDecisions:
    @pytest.mark.parametrize(
        ("token", "reason"),
        [("tok_declined", "do_not_honor"), ("tok_insufficient_funds", "insufficient_funds")],
    )
    def test_declines_are_kept(self, sandbox: Sandbox, token: str, reason: str) -> None:
        key = new_key()
        answers = [sandbox.authorise(token, key=key).json() for _ in range(2)]
        assert answers[0] == answers[1] == sandbox.ask(key).json()
        assert (answers[0]["status"], answers[0]["reason"]) == ("DECLINED", reason)
        assert "retryable" not in answers[0]
        assert statuses(sandbox, key) == ["DECLINED"]

    def test_a_retryable_decline_is_not_kept(self, sandbox: Sandbox) -> None:
        key = new_key()
        first = sandbox.authorise("tok_retryable", key=key).json()
        assert (first["reason"], first["retryable"]) == ("issuer_unavailable", True)
        assert asked(sandbox, key) == 404
        assert send(sandbox, "tok_retryable", key) == "DECLINED"
        assert send(sandbox, "tok_retryable", key) == "APPROVED"
        assert statuses(sandbox, key) == ["DECLINED", "DECLINED", "APPROVED"]

    def test_always_retryable_never_changes(self, sandbox: Sandbox) -> None:
        key = new_key()
        assert {send(sandbox, "tok_always_retryable", key) for _ in range(6)} == {"DECLINED"}

    def test_wrong_amount_is_wrong_once_and_right_in_the_book(self, sandbox: Sandbox) -> None:
        key = new_key()
        first, second = (sandbox.authorise("tok_wrong_amount", key=key) for _ in range(2))
        assert first.json()["amountMinor"] == 25_001
        assert second.json()["amountMinor"] == 25_000
        assert sandbox.ask(key).json()["amountMinor"] == 25_000
        assert sandbox.lines(key=key)[0]["amountMinor"] == 25_000

    def test_wrong_charge_is_wrong_for_ever(self, sandbox: Sandbox) -> None:
        key = new_key()
        replies = [sandbox.authorise("tok_wrong_charge", key=key) for _ in range(2)]
        replies.append(sandbox.ask(key))
        assert [reply.json()["amountMinor"] for reply in replies] == [25_001] * 3
        assert sandbox.lines(key=key)[0]["amountMinor"] == 25_001

    def test_slow_takes_two_seconds(self, sandbox: Sandbox) -> None:
        key, started = new_key(), time.monotonic()
        assert send(sandbox, "tok_slow", key) == "APPROVED"
        assert 1.9 < time.monotonic() - started < 5
        assert send(sandbox, "tok_slow", key) == "APPROVED"
        assert time.monotonic() - started < 5

    def test_while_it_is_decided_nobody_is_told_yes_or_no(self, sandbox: Sandbox) -> None:
        key = new_key()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(send, sandbox, "tok_slow", key)
            wait_until(lambda: asked(sandbox, key) == 409)
            reply = sandbox.authorise("tok_slow", key=key)
            assert (reply.status, reply.json()) == (409, {"error": "in_progress"})
            assert slow.result() == "APPROVED"

    def test_pending_is_approved_later_and_called_back(self, sandbox: Sandbox) -> None:
        key = new_key()
        with receiver() as called:
            first = sandbox.authorise("tok_pending", key=key, callbackUrl=called.url)
            assert first.json()["status"] == "PENDING"
            reference = first.json()["reference"]
            assert sandbox.capture(reference, 1).json()["reason"] == "authorisation_not_found"
            wait_until(lambda: called.received)
        assert asked(sandbox, key) == "APPROVED"
        assert statuses(sandbox, key) == ["PENDING", "APPROVED"]
        assert sandbox.capture(reference, 1).json()["status"] == "APPROVED"

    def test_a_pending_capture_counts_at_once(self, sandbox: Sandbox) -> None:
        reference = sandbox.authorised("tok_capture_pending")
        assert sandbox.capture(reference, 25_000).json()["status"] == "PENDING"
        refused = sandbox.capture(reference, 1).json()
        assert refused["reason"] == "amount_exceeds_authorisation"

    def test_duplicate_is_booked_once_and_called_back_twice(self, sandbox: Sandbox) -> None:
        key = new_key()
        with receiver() as called:
            sandbox.authorise("tok_duplicate", key=key, callbackUrl=called.url)
            wait_until(lambda: len(called.received) == 2)
        assert called.received[0][1] == called.received[1][1]
        assert statuses(sandbox, key) == ["APPROVED"]


class TestInquiries:
    def test_deaf_answers_the_sixth(self, sandbox: Sandbox) -> None:
        key = new_key()
        send(sandbox, "tok_deaf", key)
        assert [asked(sandbox, key) for _ in range(6)] == [503] * 5 + ["APPROVED"]

    def test_mute_answers_when_it_is_allowed_to(self, sandbox: Sandbox) -> None:
        key = new_key()
        send(sandbox, "tok_mute_inquiry", key)
        assert [asked(sandbox, key) for _ in range(8)] == [503] * 8
        assert sandbox.control("mute", {"on": False}) == {"on": False}
        assert asked(sandbox, key) == "APPROVED"


class TestFlaky:
    def test_every_key_is_booked_once_however_its_sends_end(self, sandbox: Sandbox) -> None:
        seen, keys = [], [new_key() for _ in range(60)]
        for key in keys:
            while (last := send(sandbox, "tok_flaky", key)) != "APPROVED":
                seen.append(last)
            assert statuses(sandbox, key) == ["APPROVED"]
        assert set(seen) <= {"closed", "502", "half", "reset"}
        assert len(set(seen)) > 1

    def test_strikes_three_in_ten_and_each_doubt(self) -> None:
        strikes = [strike_of(Fault.FLAKY, f"key-{n}", 1) for n in range(4000)]
        struck = [strike for strike in strikes if strike]
        assert 0.27 < len(struck) / 4000 < 0.33
        assert {strike.doubt for strike in struck} == {
            Doubt.CLOSE, Doubt.BAD_GATEWAY, Doubt.HALF_BODY, Doubt.RESET,
        }  # fmt: skip
        assert 0.08 < sum(is_deaf(Fault.FLAKY, f"k{n}", 1) for n in range(4000)) / 4000 < 0.12


class TestTriggers:
    def test_every_fault_has_a_token(self) -> None:
        assert {read_trigger(fault).fault for fault in Fault} == set(Fault)

    @pytest.mark.parametrize(
        ("name", "trigger"),
        [
            ("", Trigger()),
            ("test", Trigger()),
            ("declined", Trigger(Kind.AUTHORISE, Fault.DECLINED)),
            ("capture_declined", Trigger(Kind.CAPTURE, Fault.DECLINED)),
            ("void_late", Trigger(Kind.VOID, Fault.LATE)),
            ("refund_half_body", Trigger(Kind.REFUND, Fault.HALF_BODY)),
            ("capture_nothing", Trigger()),
            ("gate_a-1", Trigger(gate="a-1")),
            ("gate_", Trigger()),
        ],
    )
    def test_are_read(self, name: str, trigger: Trigger) -> None:
        assert read_trigger(name) == trigger

    def test_are_documented(self) -> None:
        text = payflow.sandbox.__doc__ or ""
        for fault in Fault:
            assert re.search(rf"^    {fault} ", text, re.MULTILINE), fault
        for number, name in CARDS.items():
            assert f"{number}  {name}" in text

    def test_need_their_prefix(self) -> None:
        assert token_trigger("tok_declined") == "declined"
        assert token_trigger("declined") == ""

    def test_of_cards_are_real_and_pass_luhn(self) -> None:
        for number, name in CARDS.items():
            digits = [int(digit) for digit in reversed(number)]
            doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
            assert (sum(digits[::2]) + sum(doubled)) % 10 == 0, number
            assert read_trigger(name) != Trigger()


class TestChaos:
    def test_is_the_same_for_the_same_seed(self) -> None:
        def run(seed: int) -> list[object]:
            return [chaos_strike(0.1, seed, f"key-{n}", 1) for n in range(500)]

        assert run(1) == run(1)
        assert run(1) != run(2)

    def test_strikes_as_often_as_asked_and_evenly(self) -> None:
        strikes = [chaos_strike(0.1, 7, f"key-{n}", 1) for n in range(20_000)]
        struck = [strike for strike in strikes if strike]
        assert 0.09 < len(struck) / 20_000 < 0.11
        assert 0.45 < sum(strike.books for strike in struck) / len(struck) < 0.55
        assert {strike.doubt for strike in struck} == {
            Doubt.CLOSE, Doubt.BAD_GATEWAY, Doubt.HALF_BODY,
        }  # fmt: skip

    def test_strikes_nothing_at_rate_zero(self) -> None:
        assert all(chaos_strike(0, 1, f"key-{n}", 1) is None for n in range(1000))

    def test_over_http_the_book_has_what_was_announced(self, sandbox: Sandbox) -> None:
        sandbox.control("chaos", {"unknownRate": 0.5, "seed": 3})
        for key in [f"chaos-{new_key()}" for _ in range(40)]:
            expected = chaos_strike(0.5, 3, key, 1)
            seen = send(sandbox, "tok_test", key)
            booked = statuses(sandbox, key)
            if expected is None:
                assert (seen, booked) == ("APPROVED", ["APPROVED"])
            else:
                words = {Doubt.CLOSE: "closed", Doubt.BAD_GATEWAY: "502", Doubt.HALF_BODY: "half"}
                assert seen == words[expected.doubt]
                assert booked == (["APPROVED"] if expected.books else [])


def test_a_card_number_is_written_nowhere(sandbox: Sandbox) -> None:
    number = "4000000000010084"
    card = {"type": "CARD", "number": number, "expMonth": 1, "expYear": 2030}
    key = new_key()
    sandbox.authorise(key=key, instrument=card)
    sandbox.authorise(key=key, instrument={**card, "number": "4000000000000119"})
    late = order() | {"instrument": card}
    sandbox.send("POST", "/acquirers/sandbox/authorisations", late, key=new_key())
    files = list(sandbox.book.parent.iterdir())
    assert {file.suffix for file in files} >= {".sqlite3", ".sqlite3-wal"}
    assert not [file for file in files if number.encode() in file.read_bytes()]
