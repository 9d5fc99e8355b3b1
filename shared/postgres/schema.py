"""Schema changes (migrations) on tables that live in a schema."""

from typing import Any

from django.db import NotSupportedError
from django.db.backends.ddl_references import Statement
from django.db.backends.postgresql import schema
from django.db.models import Model

from shared.postgres.naming import split


class TableMovesBetweenSchemas(NotSupportedError):
    """A migration changes the schema of a table, which only a person should decide."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(
            f"{old} cannot become {new}: a table does not move between schemas by AlterModelTable. "
            "Write RunSQL('ALTER TABLE … SET SCHEMA …', state_operations=[AlterModelTable(…)])."
        )


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """
    Django's schema editor, able to change `"schema"."table"`.

    # Note [Names that need their schema]
    PostgreSQL creates an index or constraint in the schema of its table, so CREATE takes a bare
    name. Four later statements look the name up on the search path instead, where a bare name is
    not found (and `DROP INDEX IF EXISTS` then reports success): DROP INDEX, ALTER INDEX … RENAME,
    SET CONSTRAINTS, and those on sequences. They are qualified here; sequences in introspection.
    `ALTER TABLE … RENAME TO` is the opposite case: it takes no schema at all.
    """

    sql_delete_fk = (
        "SET CONSTRAINTS %(schema)s%(name)s IMMEDIATE; "
        "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s"
    )

    def alter_db_table(self, model: type[Model], old_db_table: str, new_db_table: str) -> None:
        """
        Rename a table within its schema.

        Raises: TableMovesBetweenSchemas.
        """
        (old_schema, _), (new_schema, new_name) = split(old_db_table), split(new_db_table)
        if old_schema != new_schema:
            raise TableMovesBetweenSchemas(old_db_table, new_db_table)
        if not new_schema or old_db_table == new_db_table:
            super().alter_db_table(model, old_db_table, new_db_table)
            return
        names = {"old_table": old_db_table, "new_table": new_name}
        self.execute(
            self.sql_rename_table % {key: self.quote_name(name) for key, name in names.items()}
        )
        for statement in self.deferred_sql:
            if isinstance(statement, Statement):
                statement.rename_table_references(old_db_table, new_db_table)

    def _delete_index_sql(
        self, model: type[Model], name: str, sql: str | None = None, concurrently: bool = False
    ) -> Statement:
        statement = super()._delete_index_sql(  # type: ignore[misc] # not in the stubs
            model, name, sql, concurrently
        )
        return _with_parts(statement, name=self._with_schema(model, name))

    def _rename_index_sql(self, model: type[Model], old_name: str, new_name: str) -> Statement:
        statement = super()._rename_index_sql(  # type: ignore[misc] # not in the stubs
            model, old_name, new_name
        )
        return _with_parts(statement, old_name=self._with_schema(model, old_name))

    def _delete_constraint_sql(self, template: str, model: type[Model], name: str) -> Statement:
        statement = super()._delete_constraint_sql(  # type: ignore[misc] # not in the stubs
            template, model, name
        )
        # Conditional, covering and expression uniqueness are indexes, not constraints.
        if template == self.sql_delete_index:
            return _with_parts(statement, name=self._with_schema(model, name))
        return _with_parts(statement, schema=self._schema_prefix(model))

    def _with_schema(self, model: type[Model], name: str) -> str:
        return self._schema_prefix(model) + self.quote_name(name)

    def _schema_prefix(self, model: type[Model]) -> str:
        schema_name, _ = split(model._meta.db_table)
        return f"{self.quote_name(schema_name)}." if schema_name else ""


def _with_parts(statement: Any, **parts: str) -> Statement:
    return Statement(statement.template, **{**statement.parts, **parts})
