"""The SQL wall: under test, modules do not meet in a statement or in a transaction."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic
from psycopg.sql import Composable


class SqlWallBreached(AssertionError):
    """One statement or one transaction touches what belongs to two modules."""


breaches: list[SqlWallBreached] = []
"""Every breach so far, of all threads: code under test may have swallowed the exception, so the
test runner looks here after each test and clears the list."""


@dataclass(frozen=True)
class Reading:
    """What a text of SQL touches: the modules each statement names, and those it writes to."""

    named_by_statement: tuple[frozenset[str], ...]
    written: frozenset[str]


class SqlWall:
    """
    An execute wrapper that raises SqlWallBreached, before the statement runs,

    - when one statement names the schemas of two modules, or
    - when one transaction writes to the schemas of two modules.

    A transaction is the outermost `atomic` that no TestCase opened; outside of one every call of
    `execute` stands alone. Schemas that are no module's (`shared`, `public`) may be touched beside
    one. Emptying the tables between tests (`flush`) is exempt; migrations run on a connection
    without a wall.

    It sees what goes through Django's cursors (`execute`, `executemany`, server-side cursors of
    `QuerySet.iterator` included), and so not `cursor.copy()`, `cursor.stream()`, `callproc`, the
    inside of triggers and functions, names inside string literals (`nextval('a.b')`), or names
    found by a changed `search_path`.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self.modules = frozenset(modules)
        self._is_open = False
        self._transaction: Atomic | None = None
        self._written: frozenset[str] = frozenset()

    def __call__(
        self,
        execute: Callable[..., Any],
        sql: Any,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        """Check the statement, then let it run."""
        if not self._is_open:
            self._check(_as_text(sql, context["connection"]), context["connection"])
        return execute(sql, params, many, context)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let everything pass for a while: for `flush` only."""
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    def forget_writes(self) -> None:
        """Begin a new transaction: what was written before counts no longer."""
        self._transaction = None
        self._written = frozenset()

    def _check(self, sql: str, connection: BaseDatabaseWrapper) -> None:
        reading = read(sql, self.modules)
        for named in reading.named_by_statement:
            if len(named) > 1:
                raise _breach("One statement names", named, sql)
        self._follow(_transaction_of(connection))
        written = self._written | reading.written
        if len(written) > 1:
            raise _breach("One transaction writes to", written, sql)
        self._written = written

    def _follow(self, transaction: Atomic | None) -> None:
        # None is also how an `atomic` within a TestCase begins and ends: its SAVEPOINT statements
        # are executed outside of it. One `atomic` object (a decorator) may serve many transactions.
        if transaction is None or transaction is not self._transaction:
            self.forget_writes()
        self._transaction = transaction


@lru_cache(maxsize=1024)
def read(sql: str, modules: frozenset[str]) -> Reading:
    """Return which of the modules' schemas a text of SQL names and writes to."""
    if not any(module in sql.lower() for module in modules):
        return Reading((), frozenset())
    text = _canonical(sql, modules)
    return Reading(
        tuple(frozenset(_NAME.findall(statement)) for statement in text.split(";")),
        frozenset(_NAME.findall(" ".join(_WRITE.findall(text)))),
    )


def _transaction_of(connection: BaseDatabaseWrapper) -> Atomic | None:
    blocks = (
        block for block in connection.atomic_blocks if not getattr(block, "_from_testcase", False)
    )
    return next(blocks, None)


def _as_text(sql: Any, connection: BaseDatabaseWrapper) -> str:
    if isinstance(sql, Composable):
        return sql.as_string(connection.connection)
    return sql.decode() if isinstance(sql, bytes) else str(sql)


def _breach(what: str, modules: frozenset[str], sql: str) -> SqlWallBreached:
    breach = SqlWallBreached(
        f"{what} the schemas of {' and '.join(sorted(modules))}: {sql[:500]}\n"
        "Modules share nothing but events: publish one and let the other module's listener write "
        "in its own transaction, or read both in the project and put the answers together there."
    )
    breaches.append(breach)
    return breach


# Note [Canonical SQL]
# A text of SQL is reduced to lower-case words with single spaces between them, in which a dotted
# name that begins with a module's schema is `@schema`, any other name that is quoted or dotted is
# `@`, and literals and comments are gone. `UPDATE ONLY "a"."b" SET "c" = 'x'` becomes
# `update only @a set @`. Two short patterns then answer every question.

_TOKEN = re.compile(
    r"""
      (?P<noise> --[^\n]*
               | /\*(?:[^*/]+|\*(?!/)|/(?!\*)|/\*.*?\*/)*+\*/     # PostgreSQL's comments nest
               | e'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'
               | '[^']*+(?:''[^']*+)*+'
               | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<name> (?:[^\W\d][\w$]*|"(?:[^"]|"")+")
                (?:\s*\.\s*(?:[^\W\d][\w$]*|"(?:[^"]|"")+"|\*))* )
    | (?P<mark> [;,()*] )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_FIRST_PART = re.compile(r'"((?:[^"]|"")+)"|[^\W\d][\w$]*')
_NAME = re.compile(r"@(\w+)")
_WRITE = re.compile(
    r"""
      \b(?:insert[ ]into|(?:update|delete[ ]from|merge[ ]into)(?:[ ]only)?)[ ]@\w+
    | \btruncate(?:[ ]table)?(?:[ ](?:only|,|\*|@\w*))+
    | \bcopy[ ]@\w+(?=[ ](?:\([^()]*\)[ ])?from\b)
    """,
    re.VERBOSE,
)


def _canonical(sql: str, modules: frozenset[str]) -> str:
    words = (_canonical_token(token, modules) for token in _TOKEN.finditer(sql))
    return " ".join(word for word in words if word)


def _canonical_token(token: re.Match[str], modules: frozenset[str]) -> str:
    name = token["name"]
    if name is None:
        return token["mark"] or ""
    if "." not in name and '"' not in name:
        return name.lower()
    first = _FIRST_PART.match(name)
    schema = (first[1] or first[0].lower()) if first else ""
    return f"@{schema}" if schema in modules and first and first.end() < len(name) else "@"
