"""
What the port promises, kept by every processor over HTTP against the sandbox's own book.

The book, read apart from the code under test, says what truly happened.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from payments.domain.processor import Instruction, OperationKind, Outcome
from payments.tests.adapters.conftest import Sandbox
from payments.tests.adapters.rails import (
    APPROVED,
    AUTHORISE,
    CAPTURE,
    DECLINED,
    NOT_SENT,
    PENDING,
    REFUND,
    STRIPE,
    UNKNOWN,
    VOID,
    Rail,
    after,
    until,
)
from shared.identifiers import new_id

pytestmark = pytest.mark.usefixtures("sandbox")

NOWHERE = "http://127.0.0.1:9"

BOOKED = ["timeout_after_charge", "bad_gateway", "half_body", "no_json"]
NOT_BOOKED = ["timeout_before", "bad_gateway_before"]


class TestAuthorise:
    def test_approves_with_a_reference(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted = rail.wanted()
        outcome = rail.send(wanted)
        assert outcome == Outcome(APPROVED, outcome.reference)
        assert outcome.reference
        [line] = sandbox.lines(wanted.operation_id)
        assert (line["amountMinor"], line["currency"]) == (25_000, "USD")
        assert line["reference"] == outcome.reference

    @pytest.mark.parametrize("amount", [("JPY", 5), ("KWD", 12_340), ("EUR", 1)])
    def test_keeps_minor_units(self, rail: Rail, sandbox: Sandbox, amount: tuple[str, int]) -> None:
        wanted = rail.wanted(currency=amount[0], amount_minor=amount[1])
        assert rail.send(wanted).kind == APPROVED
        [line] = sandbox.lines(wanted.operation_id)
        assert (line["currency"], line["amountMinor"]) == amount

    @pytest.mark.parametrize("trigger", ["declined", "insufficient_funds"])
    def test_declines_for_good(self, rail: Rail, sandbox: Sandbox, trigger: str) -> None:
        wanted = rail.wanted(trigger)
        outcome = rail.send(wanted)
        assert (outcome.kind, outcome.is_retryable) == (DECLINED, False)
        assert outcome.reason in ("do_not_honor", "generic_decline", "insufficient_funds")
        assert (outcome.reason == trigger) == (trigger == "insufficient_funds")
        assert rail.ask(wanted).kind == DECLINED
        assert sandbox.approved(wanted.operation_id) == []

    def test_says_when_a_decline_may_be_tried_again(self, rail: Rail) -> None:
        outcome = rail.send(rail.wanted("always_retryable"))
        assert (outcome.kind, outcome.is_retryable) == (DECLINED, True)

    def test_asks_nobody_for_an_instrument_it_does_not_take(
        self, rail: Rail, sandbox: Sandbox
    ) -> None:
        wanted = rail.wanted(instrument=None)
        assert rail.send(wanted) == Outcome(NOT_SENT, reason="instrument_not_taken")
        assert sandbox.lines(wanted.operation_id) == []


class TestCapture:
    def test_takes_all(self, rail: Rail) -> None:
        hold = rail.held()
        outcome = rail.send(after(hold, CAPTURE, 25_000))
        assert outcome == Outcome(APPROVED, outcome.reference)
        assert outcome.reference

    def test_takes_several_parts(self, rail: Rail, sandbox: Sandbox) -> None:
        hold = rail.held()
        parts = [
            after(hold, CAPTURE, 5_000, is_final=False),
            after(hold, CAPTURE, 6_000, is_final=False),
            after(hold, CAPTURE, 7_000),
        ]
        assert [rail.send(part).kind for part in parts] == [APPROVED] * 3
        booked = [sandbox.lines(part.operation_id)[0]["amountMinor"] for part in parts]
        assert booked == [5_000, 6_000, 7_000]
        assert [rail.ask(part).kind for part in parts] == [APPROVED] * 3

    def test_takes_nothing_after_the_last_part(self, rail: Rail) -> None:
        hold = rail.held()
        assert rail.send(after(hold, CAPTURE, 5_000)).kind == APPROVED
        late = after(hold, CAPTURE, 1_000)
        assert rail.send(late).kind == DECLINED
        assert rail.ask(late).kind in (DECLINED, NOT_SENT)

    def test_never_takes_more_than_is_held(self, rail: Rail, sandbox: Sandbox) -> None:
        hold = rail.held()
        assert rail.send(after(hold, CAPTURE, 20_000, is_final=False)).kind == APPROVED
        over = after(hold, CAPTURE, 5_001)
        assert rail.send(over).kind == DECLINED
        assert sandbox.approved(over.operation_id) == []

    def test_takes_nothing_from_a_hold_nobody_knows(self, rail: Rail) -> None:
        unknown = after(rail.wanted(), CAPTURE, 100, authorisation_reference="pi_none")
        assert rail.send(unknown).kind == DECLINED


class TestVoid:
    def test_releases_the_hold(self, rail: Rail) -> None:
        hold = rail.held()
        void = after(hold, VOID, 25_000)
        assert rail.send(void).kind == APPROVED
        assert rail.ask(void).kind == APPROVED
        assert rail.send(after(hold, CAPTURE, 100)).kind == DECLINED

    def test_releases_what_a_capture_left(self, rail: Rail) -> None:
        hold = rail.held()
        assert rail.send(after(hold, CAPTURE, 10_000, is_final=False)).kind == APPROVED
        assert rail.send(after(hold, VOID, 15_000)).kind == APPROVED

    def test_is_approved_when_it_was_released_before(self, rail: Rail) -> None:
        hold = rail.held()
        voids = [after(hold, VOID, 25_000) for _ in range(2)]
        assert [rail.send(void).kind for void in voids] == [APPROVED] * 2

    def test_releases_nothing_of_what_was_captured(self, rail: Rail) -> None:
        hold = rail.captured()
        assert rail.send(after(hold, VOID, 25_000)).kind == DECLINED


class TestRefund:
    def test_gives_back_in_parts(self, rail: Rail, sandbox: Sandbox) -> None:
        hold = rail.captured()
        parts = [after(hold, REFUND, amount) for amount in (10_000, 14_999, 1)]
        outcomes = [rail.send(part) for part in parts]
        assert [outcome.kind for outcome in outcomes] == [APPROVED] * 3
        assert len({outcome.reference for outcome in outcomes}) == 3
        assert [len(sandbox.approved(part.operation_id)) for part in parts] == [1] * 3

    def test_never_gives_back_more_than_was_taken(self, rail: Rail, sandbox: Sandbox) -> None:
        hold = rail.captured()
        assert rail.send(after(hold, REFUND, 20_000)).kind == APPROVED
        over = after(hold, REFUND, 5_001)
        assert rail.send(over).kind == DECLINED
        assert sandbox.approved(over.operation_id) == []

    def test_gives_nothing_back_of_a_hold(self, rail: Rail) -> None:
        assert rail.send(after(rail.held(), REFUND, 100)).kind == DECLINED


EVERY_KIND = pytest.mark.parametrize("kind", OperationKind, ids=str)


class TestOneKeyOneEffect:
    @EVERY_KIND
    def test_however_often_it_is_sent(
        self, rail: Rail, sandbox: Sandbox, kind: OperationKind
    ) -> None:
        wanted = rail.ready_for(kind, "none")
        outcomes = {rail.send(wanted) for _ in range(3)}
        assert len(outcomes) == 1
        assert outcomes.pop().kind == APPROVED
        assert len(sandbox.lines(wanted.operation_id)) == 1

    def test_though_it_is_sent_by_many_at_once(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted, threads = rail.wanted(), 16
        together = threading.Barrier(threads)
        outcomes: list[Outcome] = []

        def work() -> None:
            together.wait()
            outcomes.append(rail.send(wanted))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert {outcome.kind for outcome in outcomes} <= {APPROVED, UNKNOWN}
        assert len(outcomes) == threads
        assert len(sandbox.approved(wanted.operation_id)) == 1
        assert rail.ask(wanted).kind == APPROVED

    def test_and_never_another_amount(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted = rail.wanted()
        assert rail.send(wanted).kind == APPROVED
        other = replace(wanted, amount_minor=30_000)
        assert rail.send(other) == Outcome(UNKNOWN, reason="key_reused")
        assert rail.ask(other) == Outcome(UNKNOWN, reason="amount_mismatch")
        [line] = sandbox.approved(wanted.operation_id)
        assert line["amountMinor"] == 25_000


class TestDoubt:
    @EVERY_KIND
    @pytest.mark.parametrize("trigger", BOOKED)
    def test_of_something_that_took_effect(
        self, rail: Rail, sandbox: Sandbox, kind: OperationKind, trigger: str
    ) -> None:
        wanted = rail.ready_for(kind, trigger)
        assert rail.send(wanted).kind == UNKNOWN
        assert len(sandbox.approved(wanted.operation_id)) == 1, "the naive 'it failed' is wrong"
        told = rail.ask(wanted)
        assert told.kind == APPROVED
        assert rail.send(wanted) == told
        assert len(sandbox.lines(wanted.operation_id)) == 1

    @EVERY_KIND
    @pytest.mark.parametrize("trigger", NOT_BOOKED)
    def test_of_something_that_did_not(
        self, rail: Rail, sandbox: Sandbox, kind: OperationKind, trigger: str
    ) -> None:
        wanted = rail.ready_for(kind, trigger)
        assert rail.send(wanted).kind == UNKNOWN
        assert sandbox.lines(wanted.operation_id) == []
        assert rail.ask(wanted) == Outcome(NOT_SENT, reason="not_found")
        assert rail.send(wanted).kind == APPROVED
        assert len(sandbox.lines(wanted.operation_id)) == 1

    def test_of_an_answer_about_another_amount(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted = rail.wanted("wrong_amount")
        assert rail.send(wanted) == Outcome(UNKNOWN, reason="amount_mismatch")
        assert rail.ask(wanted).kind == APPROVED
        [line] = sandbox.lines(wanted.operation_id)
        assert line["amountMinor"] == 25_000

    def test_of_a_charge_of_another_amount_stays(self, rail: Rail) -> None:
        wanted = rail.wanted("wrong_charge")
        doubt = Outcome(UNKNOWN, reason="amount_mismatch")
        assert [rail.send(wanted), rail.ask(wanted), rail.ask(wanted)] == [doubt] * 3

    def test_of_a_connection_that_was_reset(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted = rail.wanted("unreachable")
        for _ in range(2):
            assert rail.send(wanted).kind == UNKNOWN
            assert rail.ask(wanted).kind == NOT_SENT
        assert rail.send(wanted).kind == APPROVED
        assert len(sandbox.lines(wanted.operation_id)) == 1

    def test_of_a_charge_that_comes_late(self, rail: Rail, sandbox: Sandbox) -> None:
        wanted = rail.wanted("late")
        assert rail.send(wanted).kind == UNKNOWN
        assert rail.ask(wanted).kind == NOT_SENT, "true at that moment, and no more than that"
        until(lambda: bool(sandbox.lines(wanted.operation_id)))
        assert rail.ask(wanted).kind == APPROVED
        assert rail.send(wanted).kind == APPROVED
        assert len(sandbox.lines(wanted.operation_id)) == 1

    def test_lasts_while_inquiries_go_unanswered(self, rail: Rail) -> None:
        wanted = rail.wanted("deaf")
        assert rail.send(wanted).kind == UNKNOWN
        assert [rail.ask(wanted).kind for _ in range(6)] == [UNKNOWN] * 5 + [APPROVED]

    def test_lasts_for_ever_if_need_be(self, rail: Rail, sandbox: Sandbox) -> None:
        sandbox.pull("mute", on=True)
        wanted = rail.wanted("mute_inquiry")
        assert rail.send(wanted).kind == UNKNOWN
        assert [rail.ask(wanted).kind for _ in range(10)] == [UNKNOWN] * 10
        sandbox.pull("mute", on=False)
        assert rail.ask(wanted).kind == APPROVED

    def test_never_heard_of_it(self, rail: Rail) -> None:
        assert rail.ask(rail.wanted()) == Outcome(NOT_SENT, reason="not_found")
        hold = rail.held()
        for kind in (CAPTURE, VOID, REFUND):
            asked = after(hold, kind, 100)
            assert rail.ask(asked) == Outcome(NOT_SENT, reason="not_found")


@pytest.fixture
def nowhere(sandbox: Sandbox, settings: Settings) -> None:
    """Addresses where nobody listens."""
    settings.SANDBOX_URL = settings.STRIPE_API_BASE = NOWHERE


@pytest.fixture
def unconfigured(sandbox: Sandbox, settings: Settings) -> None:
    """Nothing to call anybody with."""
    settings.SANDBOX_URL = settings.SANDBOX_SECRET = settings.STRIPE_SECRET_KEY = ""


@pytest.fixture
def strangers(sandbox: Sandbox, settings: Settings) -> None:
    """Credentials that nobody gave us."""
    settings.SANDBOX_SECRET, settings.STRIPE_SECRET_KEY = "wrong", "sk_wrong"


@pytest.fixture
def down(sandbox: Sandbox, rail: Rail) -> Iterator[None]:
    """A processor that resets every connection."""
    name = rail.processor.name
    sandbox.pull("down", acquirer=name, down=True)
    yield
    sandbox.pull("down", acquirer=name, down=False)


@EVERY_KIND
class TestNobodyThere:
    @pytest.mark.usefixtures("nowhere")
    def test_nothing_was_sent_and_nothing_is_known(self, rail: Rail, kind: OperationKind) -> None:
        wanted = _any(rail, kind)
        assert rail.send(wanted) == Outcome(NOT_SENT, reason="connection_refused")
        assert rail.ask(wanted) == Outcome(UNKNOWN, reason="connection_refused")

    @pytest.mark.usefixtures("unconfigured")
    def test_nor_without_an_address(self, rail: Rail, kind: OperationKind) -> None:
        wanted = _any(rail, kind)
        assert rail.send(wanted) == Outcome(NOT_SENT, reason="processor_not_configured")
        assert rail.ask(wanted) == Outcome(UNKNOWN, reason="processor_not_configured")

    @pytest.mark.usefixtures("strangers")
    def test_refused_credentials_say_nothing_about_an_operation(
        self, rail: Rail, kind: OperationKind
    ) -> None:
        wanted = _any(rail, kind)
        assert rail.send(wanted) == Outcome(NOT_SENT, reason="processor_refused_credentials")
        assert rail.ask(wanted).kind == UNKNOWN

    @pytest.mark.usefixtures("down")
    def test_resets_are_doubts(self, rail: Rail, kind: OperationKind) -> None:
        wanted = _any(rail, kind)
        assert rail.send(wanted).kind == UNKNOWN
        assert rail.ask(wanted).kind == UNKNOWN


def _any(rail: Rail, kind: OperationKind) -> Instruction:
    wanted = rail.wanted()
    if kind == AUTHORISE:
        return wanted
    return after(wanted, kind, 100, authorisation_reference=f"pi_{new_id().hex}")


class TestPending:
    def test_is_decided_later_and_told_by_an_inquiry(self, rail: Rail) -> None:
        if rail is STRIPE:
            pytest.skip("its cards are decided at once, or by the payer: see its own tests")
        wanted = rail.wanted("pending")
        outcome = rail.send(wanted)
        assert (outcome.kind, outcome.redirect) == (PENDING, None)
        until(lambda: rail.ask(wanted).kind == APPROVED)
        assert rail.ask(wanted).reference == outcome.reference
