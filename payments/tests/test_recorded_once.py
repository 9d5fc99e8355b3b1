"""Outcomes are recorded once and from unchanged rows, whatever interrupts their recording."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import CircuitBreaker, Operation, Payment
from payments.tests.conftest import NOW, FakeProcessor, claimed, loaded, payment_in
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.record_outcomes import record_outcomes
from shared import db
from shared.event_bus import DISPATCHER, drain
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

S = PaymentStatus
DECLINED = Outcome(OutcomeKind.DECLINED, reason="do_not_honor")
SILENCE = Outcome(OutcomeKind.NOT_SENT, reason="connection_refused")
BEGUN: dict[str, tuple[PaymentStatus, Callable[[Payment], Operation], str]] = {
    "capture": (
        S.AUTHORISED,
        lambda payment: capture(payment, 4_000, is_final=False),
        "Payment.Transaction.Captured",
    ),
    "refund": (S.CAPTURED, lambda payment: refund(payment, 4_000), "Payment.Transaction.Refunded"),
}


class Network:
    """What lies between us and PostgreSQL."""

    loses_next_answer = False
    """A COMMIT takes effect, and the connection dies before it is answered."""


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    backend: Any = type(connections[DEFAULT_DB_ALIAS])
    really_commit = backend._commit

    def commit(wrapper: Any) -> None:
        really_commit(wrapper)
        if network.loses_next_answer and wrapper.alias == DEFAULT_DB_ALIAS:
            network.loses_next_answer = False
            wrapper.connection.close()
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(backend, "_commit", commit)
    return network


@pytest.fixture
def impatient() -> Iterator[None]:
    """Locks of others are waited for a little while only."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


class TestLostAnswerToCommit:
    @pytest.mark.parametrize("kind", BEGUN)
    @pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "another in flight"])
    def test_records_an_outcome_once(
        self, processor: FakeProcessor, network: Network, kind: str, is_alone: bool
    ) -> None:
        status, ask, moved = BEGUN[kind]
        payment = payment_in(status)
        ask(payment)

        def happen_meanwhile() -> None:
            processor.while_asked = lambda: None
            if not is_alone:
                ask(payment)  # what it reserves, a second booking of the first would take
            network.loses_next_answer = True

        processor.while_asked = happen_meanwhile
        drain(DISPATCHER)
        assert not network.loses_next_answer
        key = "refund_id" if kind == "refund" else "operation_id"
        assert sorted(event[key] for event in told(moved)) == sorted(map(str, processor.book))
        assert len(processor.book) == (1 if is_alone else 2)
        self.assert_booked(loaded(payment), kind, 4_000 * len(processor.book))

    def assert_booked(self, stored: Payment, kind: str, amount_minor: int) -> None:
        done = stored.refunded_minor if kind == "refund" else stored.captured_minor
        assert (done, stored.capturing_minor, stored.refunding_minor) == (amount_minor, 0, 0)
        ends = Operation.objects.values_list("verdict", "due_at", "failures", "last_error")
        assert set(ends) == {("APPROVED", None, 0, "")}


class TestRecordedAgain:
    def test_beside_one_that_raises_gives_back_what_was_reserved(
        self, processor: FakeProcessor
    ) -> None:
        declined, broken = payment_in(S.CAPTURED), payment_in(S.CAPTURED)
        for payment in (declined, broken):
            refund(payment, 6_000)
        processor.answers = [DECLINED, Outcome(OutcomeKind.PENDING, reference="no text\0")]
        drain(DISPATCHER)
        assert Operation.objects.get(payment=declined).verdict == "DECLINED"
        assert loaded(declined).refunding_minor == 0
        (event,) = told("Payment.Refund.Failed")
        assert event["payment_id"] == str(declined.pk)
        raised = Operation.objects.get(payment=broken)
        assert (raised.is_open, raised.failures) == (True, 1)
        assert loaded(broken).refunding_minor == 6_000

    def test_after_waiting_for_a_lock_in_vain_opens_the_hold_again(
        self, processor: FakeProcessor, impatient: None
    ) -> None:
        payment = payment_in(S.AUTHORISED)
        void(payment)
        processor.answers = [DECLINED]
        CircuitBreaker.objects.note_silence("sandbox", 1, now=NOW)
        is_held, is_missed = threading.Event(), threading.Event()

        def hold() -> None:
            try:
                with db.transaction():
                    CircuitBreaker.objects.select_for_update().get(processor="sandbox")
                    is_held.set()
                    is_missed.wait(30)
            finally:
                connections.close_all()

        def notice(execute: Any, *statement: Any) -> Any:
            try:
                return execute(*statement)
            except OperationalError as error:
                if db.sqlstate(error) == "55P03":
                    is_missed.set()
                raise

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(hold)
            assert is_held.wait(30)
            try:
                with connection.execute_wrapper(notice):
                    drain(DISPATCHER)
                was_missed = is_missed.is_set()
            finally:
                is_missed.set()
                holding.result(30)
        assert was_missed
        assert Operation.objects.get().verdict == "DECLINED"
        assert not loaded(payment).is_closing


class TestCircuitBreakersOfTwoDispatchers:
    """Each has an answer of one processor and a silence of the other, crosswise."""

    CROSSWISE = (("sandbox", "sandbox-backup"), ("sandbox-backup", "sandbox"))

    @pytest.fixture(autouse=True)
    def known(self) -> None:
        for name in self.CROSSWISE[0]:
            CircuitBreaker.objects.note_silence(name, 1, now=NOW)

    def test_are_written_in_one_order(
        self, processor: FakeProcessor, backup: FakeProcessor
    ) -> None:
        both_wrote = threading.Barrier(2)
        batches = [
            [
                (claimed(void(payment_in(S.AUTHORISED)), processor=answering), DECLINED),
                (claimed(void(payment_in(S.AUTHORISED)), processor=silent), SILENCE),
            ]
            for answering, silent in self.CROSSWISE
        ]

        def dispatch(batch: list[tuple[Operation, Outcome]]) -> str:
            written: list[str] = []

            def meet(execute: Any, sql: str, *rest: Any) -> Any:
                result = execute(sql, *rest)
                if "circuit_breaker" in sql and not written:
                    written.append(sql)
                    with suppress(threading.BrokenBarrierError):  # the other waits for our lock
                        both_wrote.wait(1)
                return result

            with connection.execute_wrapper(meet):
                return trouble(partial(record_outcomes, finished=batch, now=NOW))

        assert race([partial(dispatch, batch) for batch in batches]) == ["", ""]
        verdicts = Operation.objects.values_list("verdict", flat=True)
        assert sorted(verdicts) == ["", "", "DECLINED", "DECLINED"]

    def test_would_deadlock_if_answers_were_written_before_silences(self) -> None:
        # The naive twin.
        both_wrote = threading.Barrier(2, timeout=30)

        def write(answering: str, silent: str) -> None:
            with db.transaction():
                CircuitBreaker.objects.note_answers([answering])
                both_wrote.wait()
                CircuitBreaker.objects.note_silence(silent, 1, now=NOW)

        works = [partial(trouble, partial(write, *names)) for names in self.CROSSWISE]
        assert sorted(race(works)) == ["", "40P01"]


def trouble(work: Callable[[], object]) -> str:
    """The SQLSTATE that PostgreSQL ends the work with; empty if it does not."""
    try:
        work()
    except OperationalError as error:
        return db.sqlstate(error) or str(error)
    return ""
