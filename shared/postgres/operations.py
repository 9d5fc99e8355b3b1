"""Migration operations for schemas and for tables whose rows are never changed."""

from typing import Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from shared.postgres.naming import plain, schema_table

# Note [Append-only triggers]
# BEFORE triggers, one per row for UPDATE and DELETE, one per statement for TRUNCATE (which fires no
# row trigger). They are ENABLE ALWAYS: an ordinary trigger rests while `session_replication_role`
# is `replica`, and no session setting may open these tables. There is one function per table, in
# the table's schema, so that undoing one table's protection never asks who else uses it. Its
# search_path is pinned, so nobody can put an operator or function of theirs in its way.
_CREATE_FUNCTION = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = format('%I.%I is append-only: it refuses %s',
                         TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP),
        HINT = 'Write a new row that corrects the old one.',
        SCHEMA = TG_TABLE_SCHEMA,
        TABLE = TG_TABLE_NAME;
END
$body$"""
_CREATE_TRIGGER = (
    "CREATE TRIGGER {trigger} BEFORE {events} ON {table} "
    "FOR EACH {each} EXECUTE FUNCTION {function}()"
)
_ENABLE_TRIGGER = "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}"
_DISABLE_TRIGGER = "ALTER TABLE {table} DISABLE TRIGGER {trigger}"
_CHANGE_SUFFIX = "_refuses_change"
_TRUNCATE_SUFFIX = "_refuses_truncate"


class SqlOperation(Operation):
    """An operation of plain SQL that leaves Django's picture of the models as it is."""

    reduces_to_sql = True
    reversible = True
    category = OperationCategory.SQL

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: schemas and triggers are no part of the models."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Execute `forward_sql`."""
        _execute(schema_editor, app_label, self.forward_sql())

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Execute `backward_sql`."""
        _execute(schema_editor, app_label, self.backward_sql())

    def forward_sql(self) -> list[str]:
        """Return the statements that apply the operation."""
        raise NotImplementedError

    def backward_sql(self) -> list[str]:
        """Return the statements that undo it."""
        raise NotImplementedError


class CreateSchema(SqlOperation):
    """
    Create the schema an app owns; the first operation of its first migration.

    Undoing it keeps the schema: an empty one harms nobody, whereas dropping it would take along
    the rights granted on it and whatever a person has put there.
    """

    def __init__(self, name: str) -> None:
        self.name = plain(name)

    def forward_sql(self) -> list[str]:
        """Create the schema unless it is there."""
        return [f'CREATE SCHEMA IF NOT EXISTS "{self.name}"']

    def backward_sql(self) -> list[str]:
        """Keep the schema."""
        return []

    def describe(self) -> str:
        """Tell `migrate` what to print."""
        return f"Create schema {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        """Name a migration that does nothing else."""
        return f"schema_{self.name}"


class AppendOnly(SqlOperation):
    """
    Make a table refuse UPDATE, DELETE and TRUNCATE, whoever asks and whatever the session sets.

    The refusal is SQLSTATE 23001 (restrict_violation), in Django an IntegrityError. Mark the model
    too (`append_only = frozenset({"UPDATE", "DELETE"})`), so that the app's role is not granted
    what the table refuses; see `shared.postgres.grants`. Names: triggers `<table>_refuses_change`
    and `<table>_refuses_truncate`, function `<table>_is_append_only` in the table's schema.
    """

    def __init__(
        self,
        schema: str,
        table: str,
        *,
        update: bool = True,
        delete: bool = True,
        truncate: bool = True,
    ) -> None:
        self.schema, self.table = plain(schema), plain(table)
        self.update, self.delete, self.truncate = update, delete, truncate
        if not self._triggers():
            raise ValueError(f"AppendOnly on {schema}.{table} refuses nothing.")

    def forward_sql(self) -> list[str]:
        """Create the function and its triggers."""
        names = {"function": self._function, "table": schema_table(self.schema, self.table)}
        statements = [_CREATE_FUNCTION.format(**names)]
        for trigger, (events, each) in self._triggers().items():
            statements += [
                _CREATE_TRIGGER.format(trigger=trigger, events=events, each=each, **names),
                _ENABLE_TRIGGER.format(trigger=trigger, **names),
            ]
        return statements

    def backward_sql(self) -> list[str]:
        """Drop the triggers and their function."""
        table = schema_table(self.schema, self.table)
        drops = [f"DROP TRIGGER {trigger} ON {table}" for trigger in self._triggers()]
        return [*drops, f"DROP FUNCTION {self._function}()"]

    def describe(self) -> str:
        """Tell `migrate` what to print."""
        return f"Make {self.schema}.{self.table} append-only"

    @property
    def migration_name_fragment(self) -> str:
        """Name a migration that does nothing else."""
        return f"{self.table}_append_only"

    @property
    def _function(self) -> str:
        return schema_table(self.schema, f"{self.table}_is_append_only")

    def _triggers(self) -> dict[str, tuple[str, str]]:
        # Trigger name → (events, fired for each).
        changes = [verb for verb, on in (("UPDATE", self.update), ("DELETE", self.delete)) if on]
        triggers: dict[str, tuple[str, str]] = {}
        if changes:
            triggers[plain(f"{self.table}{_CHANGE_SUFFIX}")] = (" OR ".join(changes), "ROW")
        if self.truncate:
            triggers[plain(f"{self.table}{_TRUNCATE_SUFFIX}")] = ("TRUNCATE", "STATEMENT")
        return triggers


def truncate_triggers(connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    """Return (table, trigger), both quoted, of every trigger that refuses TRUNCATE."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT format('%%I.%%I', n.nspname, c.relname), quote_ident(t.tgname)
            FROM pg_catalog.pg_trigger t
            JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ANY(%s) AND t.tgname = c.relname || %s
            ORDER BY 1
            """,
            [list(connection.settings_dict.get("SCHEMAS", [])), _TRUNCATE_SUFFIX],
        )
        return [(table, trigger) for table, trigger in cursor.fetchall()]


def disable_truncate_triggers(connection: BaseDatabaseWrapper) -> None:
    """Let `flush` empty append-only tables: for the test runner, after migrate, as the owner."""
    _alter_truncate_triggers(connection, _DISABLE_TRIGGER)


def enable_truncate_triggers(connection: BaseDatabaseWrapper) -> None:
    """Undo `disable_truncate_triggers`, for a test that shows TRUNCATE refused."""
    _alter_truncate_triggers(connection, _ENABLE_TRIGGER)


def _alter_truncate_triggers(connection: BaseDatabaseWrapper, template: str) -> None:
    statements = [
        template.format(table=table, trigger=trigger)
        for table, trigger in truncate_triggers(connection)
    ]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _execute(schema_editor: Any, app_label: str, statements: list[str]) -> None:
    if router.allow_migrate(schema_editor.connection.alias, app_label):
        for statement in statements:
            # No parameters, so that a % in a function body is only a %.
            schema_editor.execute(statement, params=None)
