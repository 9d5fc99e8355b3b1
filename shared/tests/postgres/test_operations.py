"""Schemas and append-only tables, as migrations make them."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, ProgrammingError, connections, transaction
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import OperationWriter
from psycopg import errors

from shared.postgres.base import DatabaseWrapper
from shared.postgres.operations import (
    AppendOnly,
    CreateSchema,
    disable_truncate_triggers,
    enable_truncate_triggers,
    truncate_triggers,
)
from shared.tests.postgres.cases import base_models
from shared.tests.postgres.scratch import execute, migrate, query, unmigrate
from shared.tests.postgres.test_engine import in_scratch

pytestmark = pytest.mark.django_db(databases=["owner"])

Protect = Callable[[AppendOnly], None]

UPDATE = "UPDATE scratch.parent SET code = 'q'"
UPSERT = (
    "INSERT INTO scratch.parent (id, code) OVERRIDING SYSTEM VALUE SELECT id, 'q'"
    " FROM scratch.parent ON CONFLICT (id) DO UPDATE SET code = 'q'"
)
DELETE = "DELETE FROM scratch.parent"
TRUNCATE = "TRUNCATE scratch.parent CASCADE"
SILENCE_TRIGGERS = "SET LOCAL session_replication_role = replica"


def is_refused(statement: str) -> bool:
    """Whether PostgreSQL refuses the statement as append-only; its effect is rolled back."""
    connection = connections["owner"]
    try:
        with transaction.atomic(using="owner"):
            execute(connection, statement)
            transaction.set_rollback(True, using="owner")
    except IntegrityError as error:
        return getattr(error.__cause__, "sqlstate", None) == "23001"
    return False


@pytest.fixture
def state(owner: DatabaseWrapper) -> ProjectState:
    """A table with one row."""
    state = migrate(owner, ProjectState(), base_models(in_scratch))[-1]
    execute(owner, "INSERT INTO scratch.parent (code) VALUES ('p')")
    return state


@pytest.fixture
def protect(owner: DatabaseWrapper, state: ProjectState) -> Protect:
    def apply(operation: AppendOnly) -> None:
        migrate(owner, state, [operation])

    return apply


class TestCreateSchema:
    def test_creates_a_schema_once_and_keeps_it_when_undone(self, owner: DatabaseWrapper) -> None:
        operations = [CreateSchema("another"), CreateSchema("another")]

        states = migrate(owner, ProjectState(), operations)
        unmigrate(owner, states, operations)

        assert query(owner, "SELECT to_regnamespace('another') IS NOT NULL") == [(True,)]

    @pytest.mark.parametrize(
        "operation", [CreateSchema("another"), AppendOnly("scratch", "parent", delete=False)]
    )
    def test_can_be_written_into_a_migration(self, operation: Operation) -> None:
        written, imports = OperationWriter(operation, indentation=0).serialize()

        assert written.startswith(f"shared.postgres.operations.{type(operation).__name__}(")
        assert imports == {"import shared.postgres.operations"}


class TestAppendOnly:
    def test_refuses_update_delete_and_truncate(self, protect: Protect) -> None:
        assert [is_refused(sql) for sql in (UPDATE, UPSERT, DELETE, TRUNCATE)] == [False] * 4

        protect(AppendOnly("scratch", "parent"))

        assert [is_refused(sql) for sql in (UPDATE, UPSERT, DELETE, TRUNCATE)] == [True] * 4

    @pytest.mark.parametrize("allowed", ["update", "delete", "truncate"])
    def test_allows_what_it_is_told_to(self, protect: Protect, allowed: str) -> None:
        protect(AppendOnly("scratch", "parent", **{allowed: False}))

        statements = {"update": UPDATE, "delete": DELETE, "truncate": TRUNCATE}
        assert {verb for verb, sql in statements.items() if not is_refused(sql)} == {allowed}

    def test_refuses_to_refuse_nothing(self) -> None:
        with pytest.raises(ValueError, match="refuses nothing"):
            AppendOnly("scratch", "parent", update=False, delete=False, truncate=False)

    def test_says_what_is_wrong_and_what_to_do(
        self, owner: DatabaseWrapper, protect: Protect
    ) -> None:
        protect(AppendOnly("scratch", "parent"))

        with pytest.raises(IntegrityError) as refusal, transaction.atomic(using="owner"):
            execute(owner, UPDATE)

        assert "scratch.parent is append-only: it refuses UPDATE" in str(refusal.value)
        assert isinstance(refusal.value.__cause__, errors.Error)
        assert refusal.value.__cause__.diag.table_name == "parent"
        assert "new row" in str(refusal.value.__cause__.diag.message_hint)

    def test_can_be_taken_back_without_a_trace(
        self, owner: DatabaseWrapper, state: ProjectState
    ) -> None:
        operations = [AppendOnly("scratch", "parent")]
        left = """
            SELECT proname FROM pg_proc WHERE pronamespace = 'scratch'::regnamespace
            UNION ALL
            SELECT tgname FROM pg_trigger
            WHERE tgrelid = 'scratch.parent'::regclass AND NOT tgisinternal
        """

        states = migrate(owner, state, operations)
        installed = {name for (name,) in query(owner, left)}
        unmigrate(owner, states, operations)

        assert installed == {
            "parent_is_append_only",
            "parent_refuses_change",
            "parent_refuses_truncate",
        }
        assert query(owner, left) == []
        assert not is_refused(UPDATE)

    def test_is_opened_by_no_session_setting(
        self, owner: DatabaseWrapper, protect: Protect
    ) -> None:
        protect(AppendOnly("scratch", "parent"))

        kinds = query(
            owner,
            "SELECT DISTINCT tgenabled::text FROM pg_trigger"
            " WHERE tgrelid = 'scratch.parent'::regclass AND NOT tgisinternal",
        )
        assert kinds == [("A",)]  # ALWAYS: whatever session_replication_role says

        if may_silence_triggers(owner):
            assert is_refused(f"{SILENCE_TRIGGERS}; {UPDATE}")
            assert is_refused(f"{SILENCE_TRIGGERS}; {TRUNCATE}")

    def test_an_ordinary_trigger_is_opened_by_a_session_setting(
        self, owner: DatabaseWrapper, protect: Protect
    ) -> None:
        protect(AppendOnly("scratch", "parent"))
        execute(owner, "ALTER TABLE scratch.parent ENABLE TRIGGER parent_refuses_change")

        if may_silence_triggers(owner):
            assert not is_refused(f"{SILENCE_TRIGGERS}; {UPDATE}")

    def test_its_function_is_not_deceived_by_the_search_path(
        self, owner: DatabaseWrapper, protect: Protect
    ) -> None:
        protect(AppendOnly("scratch", "parent"))

        settings = query(owner, "SELECT proconfig FROM pg_proc WHERE proname LIKE 'parent%'")

        assert settings == [(["search_path=pg_catalog"],)]


def may_silence_triggers(owner: DatabaseWrapper) -> bool:
    try:
        with transaction.atomic(using="owner"):
            execute(owner, SILENCE_TRIGGERS)
            transaction.set_rollback(True, using="owner")
    except ProgrammingError:  # only a superuser may: nothing to show
        return False
    return True


class TestTruncateTriggers:
    def test_are_disabled_and_enabled_together(
        self, owner: DatabaseWrapper, protect: Protect
    ) -> None:
        protect(AppendOnly("scratch", "parent"))
        assert truncate_triggers(owner) == [("scratch.parent", "parent_refuses_truncate")]

        disable_truncate_triggers(owner)
        assert not is_refused(TRUNCATE)
        assert is_refused(DELETE)

        enable_truncate_triggers(owner)
        assert is_refused(TRUNCATE)
        if may_silence_triggers(owner):
            assert is_refused(f"{SILENCE_TRIGGERS}; {TRUNCATE}")
