"""Closing a circuit by hand."""

import pytest

from payments import conf
from payments.models import BreakerState, CircuitBreaker
from payments.tests.conftest import NOW
from payments.use_cases.close_circuit import CircuitNotOpen, close_circuit
from shared.event_bus.operating import ReasonRequired
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

ACTION = "Operator.Action.Taken"


@pytest.fixture
def _is_open() -> None:
    CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES, now=NOW)


def close(reason: str = "they called: it is back") -> None:
    close_circuit(processor="sandbox", actor="olga", reason=reason, now=NOW)


def state() -> str:
    return CircuitBreaker.objects.get(processor="sandbox").state


@pytest.mark.usefixtures("_is_open")
class TestCloseCircuit:
    def test_lets_calls_through_and_tells(self) -> None:
        assert CircuitBreaker.objects.closed_to(["sandbox"], now=NOW) == {"sandbox": False}
        close()
        assert CircuitBreaker.objects.closed_to(["sandbox"], now=NOW) == {}
        assert told(ACTION) == [
            {
                "actor": "olga",
                "action": "payments.circuit_breaker.close",
                "subject": "sandbox",
                "reason": "they called: it is back",
            }
        ]

    def test_forgets_the_silence_before(self) -> None:
        close()
        CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES - 1, now=NOW)
        assert state() == BreakerState.CLOSED
        CircuitBreaker.objects.note_silence("sandbox", 1, now=NOW)
        assert state() == BreakerState.OPEN

    def test_closes_one_that_is_being_tried(self) -> None:
        CircuitBreaker.objects.update(state=BreakerState.HALF_OPEN)
        close()
        assert state() == BreakerState.CLOSED

    def test_closes_nothing_without_a_reason(self) -> None:
        with pytest.raises(ReasonRequired):
            close(reason="  ")
        assert state() == BreakerState.OPEN

    def test_is_told_once_when_two_do_it(self) -> None:
        def attempt() -> str:
            try:
                close()
            except CircuitNotOpen:
                return "closed before"
            return "closed"

        assert sorted(race([attempt, attempt])) == ["closed", "closed before"]
        assert len(told(ACTION)) == 1


class TestWithoutSilence:
    def test_there_is_nothing_to_close(self) -> None:
        with pytest.raises(CircuitNotOpen):
            close()
        assert told(ACTION) == []
