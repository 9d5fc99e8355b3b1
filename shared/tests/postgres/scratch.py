"""Migrations on models that exist only within a test, in the schema `scratch`, and their effect."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

APP = "scratch"

Picture = dict[str, set[tuple[Any, ...]]]

_PICTURES = {
    "tables": """
        SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    """,
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, a.attgenerated::text,
            col_description(c.oid, a.attnum)
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
    """,
    # Without NOT NULL, which PostgreSQL 18 lists here too and the columns show anyway.
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype <> 'n' AND connamespace = current_schema()::regnamespace
    """,
    "indexes": """
        SELECT indexname, replace(indexdef, format(' %I.', schemaname), ' ')
        FROM pg_indexes WHERE schemaname = current_schema()
    """,
    "sequences": """
        SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = current_schema()
    """,
}


def migrate(
    connection: BaseDatabaseWrapper,
    state: ProjectState,
    operations: Sequence[Operation],
    *,
    atomic: bool = True,
) -> list[ProjectState]:
    """Apply the operations as one migration and return the state before and after each."""
    states = [state]
    with connection.schema_editor(atomic=atomic) as editor:
        for operation in operations:
            after = states[-1].clone()
            operation.state_forwards(APP, after)
            operation.database_forwards(APP, editor, states[-1], after)
            states.append(after)
    return states


def unmigrate(
    connection: BaseDatabaseWrapper,
    states: list[ProjectState],
    operations: Sequence[Operation],
    *,
    atomic: bool = True,
) -> None:
    """Take the operations back, as one migration."""
    with connection.schema_editor(atomic=atomic) as editor:
        for index in reversed(range(len(operations))):
            operations[index].database_backwards(APP, editor, states[index + 1], states[index])


def picture(connection: BaseDatabaseWrapper, schema: str = APP) -> Picture:
    """
    Return everything the catalog knows about a schema.

    Pictures of two schemas are equal when their contents are: the schema's name does not appear.
    """
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        (before,) = cursor.fetchone()
        cursor.execute("SELECT set_config('search_path', %s, false)", [schema])
        pictures = {part: set(query(connection, sql)) for part, sql in _PICTURES.items()}
        cursor.execute("SELECT set_config('search_path', %s, false)", [before])
    return pictures


def execute(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def query(connection: BaseDatabaseWrapper, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
