"""Names of tables that live in a schema, in the one spelling Django carries through unharmed."""

import re

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class NameNotPlain(ValueError):
    """A name in the database is not lower-case ASCII of at most 63 characters."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is not a plain name: use a-z, 0-9 and _, up to 63 of them.")


def plain(name: str) -> str:
    """
    Return the name unchanged, so that it means the same in PostgreSQL with and without quotes.

    Raises: NameNotPlain, for what PostgreSQL would fold, cut short or need quotes for.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise NameNotPlain(name)
    return name


def schema_table(schema: str, table: str) -> str:
    """
    Return `"schema"."table"`, the value of every `Meta.db_table` of ours.

    Raises: NameNotPlain.
    """
    return f'"{plain(schema)}"."{plain(table)}"'


def split(name: str) -> tuple[str, str]:
    """
    Return (schema, table) of a table name as Django carries it; the schema of a bare name is "".

    Understands both spellings: `"a"."b"` of a `db_table`, and `a"."b` which Django makes of it
    when it strips the outer quotes (tables of automatic many-to-many fields, sequences).
    """
    schema, _, table = name.rpartition('"."')
    return schema.strip('"'), table.strip('"')
