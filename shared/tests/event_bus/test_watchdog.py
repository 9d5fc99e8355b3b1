"""What makes a worker deaf, and the numbers that workers have."""

from collections.abc import Iterator

import pytest
from django.db import connection

from shared.event_bus.watchdog import Hearing, Slot

PATIENCE = 60.0


class TestHearing:
    @pytest.fixture
    def hearing(self) -> Hearing:
        return Hearing(PATIENCE)

    def test_is_lost_when_pings_go_unheard_for_long(self, hearing: Hearing) -> None:
        for at in (0, 15, 30, 45):
            hearing.pinged(at)
            assert not hearing.is_deaf(at)
        assert not hearing.is_deaf(PATIENCE - 1)
        assert hearing.is_deaf(PATIENCE)

    def test_is_not_judged_by_what_a_purge_has_swallowed(self, hearing: Hearing) -> None:
        hearing.pinged(0)
        hearing.pinged(15)
        assert not hearing.is_deaf(10 * PATIENCE)

    def test_is_proven_by_any_message(self, hearing: Hearing) -> None:
        for at in (0, 15, 30, 45):
            hearing.pinged(at)
        hearing.heard()
        assert not hearing.is_deaf(PATIENCE)

    def test_is_not_judged_without_pings(self, hearing: Hearing) -> None:
        assert not hearing.is_deaf(10 * PATIENCE)

    def test_is_given_longer_while_reconnecting(self, hearing: Hearing) -> None:
        for at in (0, 15, 30, 45):
            hearing.pinged(at)
        assert not hearing.is_deaf(PATIENCE, times=5)
        assert hearing.is_deaf(5 * PATIENCE, times=5)


@pytest.mark.django_db
class TestSlot:
    @pytest.fixture
    def slots(self) -> Iterator[tuple[Slot, Slot]]:
        slots = Slot(), Slot()
        yield slots
        for slot in slots:
            slot._line.close()

    def test_is_nobody_elses(self, slots: tuple[Slot, Slot]) -> None:
        one, other = slots
        assert one.number != other.number
        assert one.is_held()
        assert other.is_held()

    def test_is_used_again_when_its_worker_is_gone(self, slots: tuple[Slot, Slot]) -> None:
        one, _ = slots
        one._line.close()
        again = Slot()
        assert again.number == one.number
        again._line.close()

    def test_is_taken_again_when_the_session_was_cut(self, slots: tuple[Slot, Slot]) -> None:
        one, _ = slots
        cut(one)
        assert one.is_held()

    def test_is_lost_when_somebody_was_quicker(self, slots: tuple[Slot, Slot]) -> None:
        one, _ = slots
        cut(one)
        quicker = Slot()
        assert quicker.number == one.number
        assert not one.is_held()
        quicker._line.close()


def cut(slot: Slot) -> None:
    pid = slot._line.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
