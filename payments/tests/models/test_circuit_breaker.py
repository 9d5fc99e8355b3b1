"""Circuit breakers: closed, open, and one call that tries."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from payments import conf
from payments.models import BreakerState, CircuitBreaker
from payments.tests.conftest import NOW
from shared.testing.races import race
from shared.testing.refusals import constraint_names, violated

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(seconds=conf.BREAKER_PAUSE_SECONDS)
breakers = CircuitBreaker.objects


def silence(failures: int = 1, processor: str = "sandbox") -> None:
    breakers.note_silence(processor, failures, now=NOW)


def state() -> tuple[str, int]:
    breaker = CircuitBreaker.objects.get(processor="sandbox")
    return breaker.state, breaker.failures


class TestCircuitBreaker:
    def test_refuses_what_its_constraints_name(self) -> None:
        silence()
        rows = CircuitBreaker.objects.all()
        for change in ({"opened_at": NOW}, {"state": "OPEN"}, {"state": "HALF_OPEN"}):
            assert violated(partial(rows.update, **change)) == "circuit_breaker_open_since"
        assert violated(lambda: rows.update(state="BROKEN")) == "circuit_breaker_open_since"
        assert constraint_names(CircuitBreaker) == {"circuit_breaker_open_since"}

    def test_is_not_there_while_everything_answers(self) -> None:
        breakers.note_answers(["sandbox"])
        assert not CircuitBreaker.objects.exists()
        assert breakers.closed_to(["sandbox"], now=NOW) == {}

    @pytest.mark.parametrize("at_once", [1, 5, 10, 100])
    def test_opens_after_too_many_silences_in_a_row(self, at_once: int) -> None:
        for told in range(at_once, conf.BREAKER_FAILURES, at_once):
            silence(at_once)
            assert state() == ("CLOSED", told)
        silence(at_once)
        assert state()[0] == "OPEN"
        assert breakers.closed_to(["sandbox", "other"], now=NOW) == {"sandbox": False}

    def test_counts_anew_after_an_answer(self) -> None:
        silence(conf.BREAKER_FAILURES - 1)
        breakers.note_answers(["sandbox"])
        silence()
        assert state() == ("CLOSED", 1)

    def test_is_each_processors_own(self) -> None:
        silence(conf.BREAKER_FAILURES)
        silence(1, "other")
        assert breakers.closed_to(["sandbox", "other"], now=NOW) == {"sandbox": False}
        breakers.note_answers(["other"])
        assert state()[0] == "OPEN"

    def test_lets_one_try_after_its_pause(self) -> None:
        silence(conf.BREAKER_FAILURES)
        just_before = LATER - timedelta(microseconds=1)
        assert breakers.closed_to(["sandbox"], now=just_before) == {"sandbox": False}
        assert breakers.closed_to(["sandbox"], now=LATER) == {"sandbox": True}
        assert state()[0] == BreakerState.HALF_OPEN
        assert breakers.closed_to(["sandbox"], now=LATER) == {"sandbox": False}

    def test_lets_another_try_if_the_first_was_never_heard_of_again(self) -> None:
        silence(conf.BREAKER_FAILURES)
        breakers.closed_to(["sandbox"], now=LATER)
        much_later = LATER + timedelta(seconds=conf.BREAKER_PAUSE_SECONDS)
        assert breakers.closed_to(["sandbox"], now=much_later) == {"sandbox": True}

    def test_closes_or_opens_again_as_the_try_tells(self) -> None:
        for told, after in (("answer", ("CLOSED", 0)), ("silence", ("OPEN", 11))):
            CircuitBreaker.objects.all().delete()
            silence(conf.BREAKER_FAILURES)
            breakers.closed_to(["sandbox"], now=LATER)
            if told == "answer":
                breakers.note_answers(["sandbox"])
            else:
                breakers.note_silence("sandbox", 1, now=LATER)
            assert state() == after
            stays_closed = breakers.closed_to(["sandbox"], now=LATER)
            assert stays_closed == ({} if told == "answer" else {"sandbox": False})


class TestRace:
    def test_lets_one_of_many_connections_try(self) -> None:
        silence(conf.BREAKER_FAILURES)
        may = race([lambda: breakers.closed_to(["sandbox"], now=LATER)["sandbox"]] * 8)
        assert sorted(may) == [False] * 7 + [True]

    def test_would_let_all_try_if_each_looked_first(self) -> None:
        # The naive twin: read the state, decide, write it.
        silence(conf.BREAKER_FAILURES)

        def look() -> bool:
            breaker = CircuitBreaker.objects.get(processor="sandbox")
            return breaker.state == "OPEN" and breaker.opened_at <= NOW  # type: ignore[operator]

        seen = race([look] * 8)  # the barrier stands between looking and writing
        race([partial(breakers.filter(processor="sandbox").update, state="HALF_OPEN")] * 8)
        assert sum(seen) > 1

    def test_counts_every_silence(self) -> None:
        race([silence] * 8)
        assert state() == ("CLOSED", 8)

    def test_would_lose_silences_that_were_added_up_in_python(self) -> None:
        # The naive twin: read-modify-write.
        silence()
        read = race([lambda: CircuitBreaker.objects.get(processor="sandbox")] * 8)

        def write(breaker: CircuitBreaker) -> None:
            breaker.failures += 1
            breaker.save()

        race([partial(write, breaker) for breaker in read])
        assert state()[1] < 9
        assert connection.get_autocommit()
