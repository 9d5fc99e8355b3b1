"""The engine itself: Django's, with the parts that must know about schemas exchanged."""

import select
from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql import base, operations
from psycopg.pq import TransactionStatus

from shared.postgres.introspection import DatabaseIntrospection
from shared.postgres.naming import split
from shared.postgres.schema import DatabaseSchemaEditor
from shared.postgres.sql_wall import SqlWall


class DatabaseOperations(operations.DatabaseOperations):
    """Django's SQL dialect for PostgreSQL, with two additions."""

    connection: "DatabaseWrapper"

    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        """Empty tables between tests: the one TRUNCATE that may name every schema at once."""
        with self.connection.sql_wall.opened():
            super().execute_sql_flush(sql_list)

    def for_update_sql(
        self,
        nowait: bool = False,
        skip_locked: bool = False,
        of: Iterable[str] = (),
        no_key: bool = False,
    ) -> str:
        """Write the locking clause; `OF` takes the names within the query, never qualified ones."""
        tables = tuple(self.quote_name(split(name)[1]) for name in of)
        return super().for_update_sql(nowait, skip_locked, tables, no_key)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection on which tables may live in schemas and, under test, modules keep apart."""

    SchemaEditorClass = DatabaseSchemaEditor
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations

    def __init__(self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS) -> None:
        super().__init__(settings_dict, alias)
        self.sql_wall = SqlWall(settings_dict.get("SQL_WALL") or ())
        if self.sql_wall.modules:
            self.execute_wrappers.append(self.sql_wall)

    def is_usable(self) -> bool:
        """
        Whether the connection is alive, mostly without a question to the server.

        On an idle connection that is alive there is nothing to read. The end of the server shows
        as something to read at once; only then it is asked.
        """
        line = self.connection
        if line is None or line.closed or line.info.transaction_status != TransactionStatus.IDLE:
            return super().is_usable()
        waiting = select.poll()
        waiting.register(line.fileno(), select.POLLIN)
        return not waiting.poll(0) or super().is_usable()

    def _set_autocommit(self, autocommit: bool) -> None:
        # Every real transaction begins and ends here; no statement tells the wall about it.
        super()._set_autocommit(autocommit)  # type: ignore[misc] # not in the stubs
        self.sql_wall.forget_writes()
