"""What `intent` promises: outside transactions, leased, fenced, retried, parked."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, models, transaction

from shared.event_bus import CELERY, _outstanding, _perform, _registry
from shared.event_bus._perform import OutsideWorkInsideTransaction
from shared.event_bus._slots import Turn
from shared.identifiers import new_id
from shared.models import Outstanding

pytestmark = pytest.mark.django_db


class Errand(Outstanding):
    """Outside work of the tests."""

    id = models.UUIDField(primary_key=True, default=new_id)

    class Meta:
        app_label = "shared"
        managed = False
        db_table = '"public"."bus_test_errand"'


class Outside:
    """The outside world: notes the calls, and answers or raises."""

    def __init__(self) -> None:
        self.called: list[object] = []
        self.recorded: list[object] = []
        self.parked: list[object] = []
        self.error: Exception | None = None
        self.in_transaction: list[bool] = []

    def run(self, row: Errand) -> str:
        self.called.append(row.pk)
        self.in_transaction.append(connection.in_atomic_block)
        if self.error:
            raise self.error
        return "done"

    def record(self, finished: Sequence[tuple[Errand, str]]) -> None:
        self.in_transaction.append(not connection.in_atomic_block)
        self.recorded += [(row.pk, outcome) for row, outcome in finished]

    def when_parked(self, row: Errand) -> None:
        self.parked.append(row.pk)


@pytest.fixture
def outside(transactional_db: None) -> Iterator[Outside]:
    outside = Outside()
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bus_test_errand")
        cursor.execute(
            "CREATE TABLE bus_test_errand (id uuid PRIMARY KEY, correlation_id uuid,"
            " attempts smallint DEFAULT 0, ended smallint DEFAULT 0, failures smallint DEFAULT 0,"
            " due_at timestamptz DEFAULT now(), parked_at timestamptz, last_error text DEFAULT '',"
            " created_at timestamptz DEFAULT now())"
        )
        cursor.execute(f"GRANT ALL ON bus_test_errand TO {connection.settings_dict['USER']}")
    yield outside
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE bus_test_errand")


@pytest.fixture
def errands(outside: Outside) -> _registry.Intent:
    return _registry.Intent(
        "test.errand",
        Errand,
        CELERY,
        outside.run,
        outside.record,
        lease_seconds=30,
        when_parked=outside.when_parked,
    )


def plan(count: int = 1) -> None:
    with connection.cursor() as cursor:
        for _ in range(count):
            cursor.execute(
                "INSERT INTO bus_test_errand (id, correlation_id) VALUES (%s, %s)",
                [uuid4(), uuid4()],
            )


def only_row() -> dict[str, Any]:
    row: dict[str, Any] = Errand._default_manager.values().get()
    return row


def hasten() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bus_test_errand SET due_at = now() WHERE due_at IS NOT NULL")


class TestPerform:
    def test_runs_outside_and_records_inside_a_transaction(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan(3)

        assert _perform.perform(errands, 10) == 3

        assert len(outside.called) == len(outside.recorded) == 3
        assert not any(outside.in_transaction)
        assert not Errand._default_manager.filter(due_at__isnull=False).exists()

    def test_refuses_to_run_inside_a_transaction(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()

        with pytest.raises(OutsideWorkInsideTransaction), transaction.atomic():
            _perform.perform(errands, 10)

        assert outside.called == []

    def test_a_row_is_claimed_by_one_worker_until_its_lease_ends(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()
        _perform.claim(errands, Turn(10))

        assert _perform.perform(errands, 10) == 0
        hasten()
        assert _perform.perform(errands, 10) == 1
        assert only_row()["attempts"] == 2

    def test_a_worker_that_lost_its_lease_records_nothing(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()
        zombies = [_perform.run(errands, claim) for claim in _perform.claim(errands, Turn(10))]
        hasten()
        _perform.perform(errands, 10)
        assert len(outside.recorded) == 1

        _perform.record(errands, zombies)

        assert len(outside.recorded) == 1

    def test_records_once_what_it_records_again_not_knowing_that_it_did(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        # Such as after a COMMIT whose answer was lost on its way.
        plan(3)
        finished = [_perform.run(errands, claim) for claim in _perform.claim(errands, Turn(10))]
        _perform.record(errands, finished)
        after = list(Errand._default_manager.order_by("pk").values())

        _perform.record(errands, finished)

        assert len(outside.recorded) == 3
        assert list(Errand._default_manager.order_by("pk").values()) == after

    def test_records_what_is_due_again_after_every_end(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()
        for times in (1, 2, 3):
            _perform.perform(errands, 10)
            assert len(outside.recorded) == times
            with connection.cursor() as cursor:
                cursor.execute("UPDATE bus_test_errand SET due_at = now()")

    def test_recording_that_is_tried_again_begins_with_rows_as_they_were_claimed(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        found: list[int] = []

        def change_and_raise_together(finished: Sequence[tuple[Errand, str]]) -> None:
            for row, _ in finished:
                found.append(row.failures)
                row.failures += 1
            if len(finished) > 1:
                raise ValueError

        plan(2)
        _perform.perform(replace(errands, record=change_and_raise_together), 10)

        assert found == [0, 0, 0, 0]

    def test_a_run_that_raises_waits_and_is_parked_after_five_failures(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        outside.error = ConnectionError("no route")
        plan()

        for failures in range(1, _outstanding.FAILURES_UNTIL_PARKED + 1):
            hasten()
            _perform.perform(errands, 10)
            assert only_row()["failures"] == failures

        assert only_row()["parked_at"] is not None
        assert "no route" in only_row()["last_error"]
        assert outside.parked == [only_row()["id"]]
        assert outside.recorded == []


class TestPauses:
    """How often what fails is tried again is what the intent declares."""

    PAUSES = (2, 60, *[3600] * 30)

    def test_are_as_declared_and_then_it_is_parked(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        outside.error = ConnectionError("no route")
        patient = replace(errands, pauses=self.PAUSES)
        plan()
        for seconds in self.PAUSES:
            _perform.perform(patient, 10)
            assert 0.7 * seconds < pause_seconds() < 1.3 * seconds
            _outstanding.park_endless(Errand)
            hasten()
            _outstanding.park_endless(Errand)
            assert only_row()["parked_at"] is None
        assert outside.parked == []
        _perform.perform(patient, 10)
        assert only_row()["parked_at"] is not None
        assert outside.parked == [only_row()["id"]]
        assert len(outside.called) == len(self.PAUSES) + 1

    def test_may_be_none(self, outside: Outside, errands: _registry.Intent) -> None:
        outside.error = ConnectionError("no route")
        plan()
        _perform.perform(replace(errands, pauses=()), 10)
        assert only_row()["parked_at"] is not None

    def test_would_end_early_if_a_failed_claim_had_no_end(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        """The naive twin: what failed 25 times is taken for what kills its worker."""
        outside.error = ConnectionError("no route")
        plan()
        for _ in range(_outstanding.CLAIMS_UNTIL_PARKED):
            _perform.perform(replace(errands, pauses=self.PAUSES), 10)
            hasten()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE bus_test_errand SET ended = 0")
        _outstanding.park_endless(Errand)
        assert "without an end" in only_row()["last_error"]

    def test_count_a_failure_once_though_it_is_recorded_twice(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()
        (claim,) = _perform.claim(errands, Turn(1))
        for _ in range(2):  # as after a COMMIT whose answer was lost
            _outstanding.record_failure("test.errand", Errand, claim, ConnectionError("no route"))
        assert only_row()["failures"] == 1


def pause_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM due_at - now()) FROM bus_test_errand")
        return float(cursor.fetchone()[0])


class TestParkEndless:
    def test_parks_what_was_claimed_again_and_again_without_an_end(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan()
        for claims in range(1, _outstanding.CLAIMS_UNTIL_PARKED + 1):
            _perform.claim(errands, Turn(10))
            hasten()
            _outstanding.park_endless(Errand)
            assert (only_row()["parked_at"] is not None) is (
                claims == _outstanding.CLAIMS_UNTIL_PARKED
            )

    def test_leaves_what_is_due_again_after_every_end(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        # Such as an inquiry whose answer is still unknown: it goes on for ever.
        def ask_again_later(finished: Sequence[tuple[Errand, str]]) -> None:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE bus_test_errand SET due_at = now()")

        plan()
        for _ in range(2 * _outstanding.CLAIMS_UNTIL_PARKED):
            assert _perform.perform(replace(errands, record=ask_again_later), 10) == 1
            _outstanding.park_endless(Errand)
        assert (only_row()["parked_at"], only_row()["attempts"]) == (None, 50)

    def test_rows_not_begun_in_half_the_lease_are_left(
        self, outside: Outside, errands: _registry.Intent
    ) -> None:
        plan(3)
        hurried = dataclasses.replace(errands, lease_seconds=0)

        assert _perform.perform(hurried, 10) == 3

        assert outside.called == []
        assert Errand._default_manager.filter(due_at__isnull=False).count() == 3
