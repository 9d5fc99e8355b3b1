"""What is in the database, told in qualified names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import introspection
from django.db.backends.postgresql.introspection import FieldInfo, TableInfo
from django.db.backends.utils import CursorWrapper
from psycopg.pq import TransactionStatus

from shared.postgres.naming import split

_TABLES_OF_SCHEMAS = """
    SELECT
        '"' || n.nspname || '"."' || c.relname || '"',
        CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END,
        obj_description(c.oid, 'pg_class')
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname = ANY(%s)
"""


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    """
    Django's introspection, able to find `"schema"."table"`.

    The inherited queries look for a bare name that is visible on the search path. They are run
    unchanged, with the path pointing at the table's schema meanwhile; rewriting them here would
    mean following every Django release by hand.
    """

    def identifier_converter(self, name: str) -> str:
        """Spell a table as `get_table_list` does, whichever way Django quoted it."""
        schema, table = split(name)
        return _qualified(schema, table) if schema else name

    def get_table_list(self, cursor: CursorWrapper | Any) -> list[Any]:
        """List the tables on the search path by bare name, those of SCHEMAS by qualified name."""
        tables = super().get_table_list(cursor)
        cursor.execute(_TABLES_OF_SCHEMAS, [list(self.connection.settings_dict.get("SCHEMAS", []))])
        return [*tables, *(TableInfo(*row) for row in cursor.fetchall())]

    def get_table_description(
        self, cursor: CursorWrapper | Any, table_name: str
    ) -> list[FieldInfo]:
        """Describe the columns."""
        with self._search_path_of(cursor, table_name) as (_, table):
            description: list[FieldInfo] = super().get_table_description(cursor, table)
        return description

    def get_sequences(
        self, cursor: CursorWrapper | Any, table_name: str, table_fields: Any = ()
    ) -> list[Any]:
        """List the sequences the table owns; they always live in the table's own schema."""
        with self._search_path_of(cursor, table_name) as (schema, table):
            found = super().get_sequences(cursor, table, table_fields)
        return [
            {
                "name": _qualified(schema, sequence["name"]),
                "table": self.identifier_converter(table_name),
                "column": sequence["column"],
            }
            for sequence in found
        ]

    def get_relations(
        self, cursor: CursorWrapper | Any, table_name: str
    ) -> dict[str, tuple[str, str]]:
        """Return {column: (its column, other table)}; no foreign key crosses a schema."""
        with self._search_path_of(cursor, table_name) as (schema, table):
            relations = super().get_relations(cursor, table)
        return {
            column: (other_column, _qualified(schema, other))
            for column, (other_column, other) in relations.items()
        }

    def get_constraints(self, cursor: CursorWrapper | Any, table_name: str) -> dict[str, Any]:
        """Describe constraints and indexes by their bare names."""
        with self._search_path_of(cursor, table_name) as (schema, table):
            constraints = super().get_constraints(cursor, table)
        for constraint in constraints.values():
            if constraint["foreign_key"]:
                other, column = constraint["foreign_key"]
                constraint["foreign_key"] = (_qualified(schema, other), column)
        return constraints

    @contextmanager
    def _search_path_of(
        self, cursor: CursorWrapper | Any, table_name: str
    ) -> Iterator[tuple[str, str]]:
        schema, table = split(table_name)
        if not schema:
            yield schema, table
            return
        cursor.execute(
            "SELECT current_setting('search_path'),"
            " set_config('search_path', quote_ident(%s), false)",
            [schema],
        )
        before = cursor.fetchone()[0]
        try:
            yield schema, table
        finally:
            # In a failed transaction nothing can be executed, and its rollback restores the path.
            status = self.connection.connection.info.transaction_status
            if status != TransactionStatus.INERROR:
                cursor.execute("SELECT set_config('search_path', %s, false)", [before])


def _qualified(schema: str, name: str) -> str:
    # Not `schema_table`: what is found in a database need not have a name we would choose.
    return f'"{schema}"."{name}"' if schema else name
