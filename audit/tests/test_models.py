"""M3: the trail refuses every change, whoever asks."""

from collections.abc import Callable

import pytest
from django.db import connections, transaction

from audit.models import Record
from audit.tests.conftest import initiated, recorded
from shared.postgres.operations import enable_truncate_triggers
from shared.testing.refusals import constraint_names, refused_state, violated

pytestmark = pytest.mark.django_db

CHANGES = ("UPDATE audit.record SET payload = '{}'", "DELETE FROM audit.record")
TRUNCATE = "TRUNCATE audit.record"


def execute(statement: str, using: str) -> Callable[[], object]:
    return lambda: connections[using].cursor().execute(statement)


class TestRecord:
    @pytest.fixture(autouse=True)
    def record(self) -> Record:
        return recorded(initiated())[0]

    def test_is_kept_by_triggers_even_against_the_owner(self) -> None:
        with transaction.atomic(using="owner"):
            enable_truncate_triggers(connections["owner"])  # which the runner switched off
            for change in (*CHANGES, TRUNCATE):
                assert refused_state(execute(change, "owner"), "owner") == "23001", change
            transaction.set_rollback(True, using="owner")
        assert Record.objects.count() == 1

    def test_is_kept_by_the_role_that_serves(self) -> None:
        for change in (*CHANGES, TRUNCATE):
            assert refused_state(execute(change, "default")) == "42501", change

    def test_by_row_triggers_alone_would_fall_to_truncate(self) -> None:
        # The naive twin: as the runner leaves the table, TRUNCATE passes.
        with transaction.atomic(using="owner"):
            execute(TRUNCATE, "owner")()
            assert not Record.objects.using("owner").exists()
            transaction.set_rollback(True, using="owner")

    def test_is_written_once_per_event(self, record: Record) -> None:
        again = Record.objects.get()
        again.pk = None
        again._state.adding = True
        assert violated(again.save) == "record_once_per_event"
        assert constraint_names(Record) == {"record_once_per_event"}
