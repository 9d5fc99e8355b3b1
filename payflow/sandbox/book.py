"""
The book: one SQLite file that outlives the process, and one lock around all that touches it.

Whatever was answered was committed before. `synchronous=NORMAL` keeps that true when the process is
killed; a machine that loses power may lose the last moments, which is no concern of a sandbox.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from payflow.sandbox.order import Authorisation, Kind, Operation, Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS line (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    acquirer TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    merchant_reference TEXT NOT NULL, reference TEXT NOT NULL, authorisation TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL
);
CREATE TRIGGER IF NOT EXISTS line_never_changes BEFORE UPDATE ON line
BEGIN SELECT RAISE(ABORT, 'the book is append-only'); END;
CREATE TRIGGER IF NOT EXISTS line_never_goes BEFORE DELETE ON line
BEGIN SELECT RAISE(ABORT, 'the book is append-only'); END;
CREATE TABLE IF NOT EXISTS authorisation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    reference TEXT NOT NULL UNIQUE, acquirer TEXT NOT NULL, key TEXT NOT NULL,
    merchant_reference TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    trigger TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    captured_minor INTEGER NOT NULL, refunded_minor INTEGER NOT NULL,
    is_final INTEGER NOT NULL, is_voided INTEGER NOT NULL,
    callback_url TEXT NOT NULL, return_url TEXT NOT NULL, bank TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL, details TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS operation (
    acquirer TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL, authorisation TEXT NOT NULL, merchant_reference TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, is_retryable INTEGER NOT NULL, created_at REAL NOT NULL,
    details TEXT NOT NULL, http_status INTEGER NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (acquirer, key)
);
CREATE INDEX IF NOT EXISTS operation_of_authorisation ON operation (authorisation);
CREATE TABLE IF NOT EXISTS send (
    acquirer TEXT NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (acquirer, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL, action TEXT NOT NULL, payload TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the book: something was decided, or left pending."""

    sequence: int
    acquirer: str
    kind: str
    key: str
    merchant_reference: str
    reference: str
    authorisation: str
    amount_minor: int
    currency: str
    status: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Due:
    """Something to do at a time."""

    number: int
    at: float
    action: str
    payload: str


_AUTHORISATION = ", ".join(field.name for field in fields(Authorisation))
_OPERATION = ", ".join(field.name for field in fields(Operation))
_ADD_AUTHORISATION = (
    f"INSERT INTO authorisation ({_AUTHORISATION})"
    f" VALUES (NULL{', ?' * (len(fields(Authorisation)) - 1)})"
)
_ADD_OPERATION = f"INSERT INTO operation VALUES (?{', ?' * (len(fields(Operation)) - 1)})"
_ADD_LINE = f"INSERT INTO line VALUES (NULL{', ?' * (len(fields(Line)) - 1)})"


class Book:
    """Reads and writes; every method may be called by any thread, alone or in a transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone: no other thread reads or writes meanwhile."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Writes everything into the one file; the book cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    # Mutators ----------------------------------------------------------------------------------

    def add_line(self, operation: Operation, at: float) -> None:
        """Appends what was decided about an operation."""
        self._run(_ADD_LINE, (*_line_values(operation), at))

    def add_operation(self, operation: Operation) -> None:
        """Remembers the answer under its key."""
        self._run(_ADD_OPERATION, _operation_values(operation))

    def add_authorisation(self, authorisation: Authorisation) -> None:
        """Opens a hold; its number is given here."""
        self._run(_ADD_AUTHORISATION, _authorisation_values(authorisation)[1:])

    def change_authorisation(self, changed: Authorisation) -> None:
        """Writes what became of a hold."""
        self._run(
            "UPDATE authorisation SET status = ?, reason = ?, captured_minor = ?,"
            " refunded_minor = ?, is_final = ?, is_voided = ?, details = ? WHERE reference = ?",
            _changed_authorisation(changed),
        )

    def change_operation(self, changed: Operation) -> None:
        """Writes the decision about what was pending, and the answer to give from now on."""
        self._run(
            "UPDATE operation SET status = ?, reason = ?, http_status = ?, answer = ?"
            " WHERE acquirer = ? AND key = ?",
            _changed_operation(changed),
        )

    def count_send(self, acquirer: str, key: str) -> int:
        """Counts a send, or an inquiry under a key of its own; answers the count, from 1."""
        rows = self._rows(
            "INSERT INTO send VALUES (?, ?, 1)"
            " ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
            (acquirer, key),
        )
        count: int = rows[0][0]
        return count

    def schedule(self, at: float, action: str, payload: str) -> None:
        """Notes what is to be done later, whatever happens to the process until then."""
        self._run("INSERT INTO due VALUES (NULL, ?, ?, ?)", (at, action, payload))

    def finish(self, due: Due) -> None:
        """Forgets what was done."""
        self._run("DELETE FROM due WHERE number = ?", (due.number,))

    # Queries -----------------------------------------------------------------------------------

    def operation(self, acquirer: str, key: str) -> Operation | None:
        """What is remembered under a key."""
        rows = self._operations("acquirer = ? AND key = ?", (acquirer, key))
        return rows[0] if rows else None

    def operation_by_reference(self, acquirer: str, reference: str) -> Operation | None:
        """An operation by the acquirer's own name of it; slow, for reading only."""
        rows = self._operations("acquirer = ? AND reference = ?", (acquirer, reference))
        return rows[0] if rows else None

    def operations_of(self, authorisation: str, kind: Kind) -> list[Operation]:
        """Every operation of a kind on a hold, oldest first."""
        where = "authorisation = ? AND kind = ? ORDER BY rowid"
        return self._operations(where, (authorisation, kind))

    def authorisation(self, acquirer: str, reference: str) -> Authorisation | None:
        """A hold by its reference, as long as it is this acquirer's."""
        rows = self._authorisations("reference = ? AND acquirer = ?", (reference, acquirer))
        return rows[0] if rows else None

    def redirected(self, reference: str) -> Authorisation | None:
        """A hold, of whichever acquirer, whose payer is sent to a page."""
        rows = self._authorisations("reference = ? AND expires_at > 0", (reference,))
        return rows[0] if rows else None

    def newest_authorisations(
        self, acquirer: str, *, since: float, until: float, before: int | None, limit: int
    ) -> list[Authorisation]:
        """A page of holds created in a time, newest first, below a number."""
        bound = before if before is not None else 2**62
        where = "acquirer = ? AND created_at >= ? AND created_at <= ? AND number < ?"
        values = (acquirer, since, until, bound, limit)
        return self._authorisations(f"{where} ORDER BY number DESC LIMIT ?", values)

    def lines(self, after: int, limit: int) -> list[Line]:
        """The book after a sequence, oldest first."""
        query = "SELECT * FROM line WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return [Line(*row) for row in self._rows(query, (after, limit))]

    def due(self, now: float) -> list[Due]:
        """What should be done by now, a hundred at most."""
        query = "SELECT * FROM due WHERE at <= ? ORDER BY at LIMIT 100"
        return [Due(*row) for row in self._rows(query, (now,))]

    def next_due_at(self) -> float | None:
        """When there is something to do next."""
        at: float | None = self._rows("SELECT MIN(at) FROM due")[0][0]
        return at

    # Steps -------------------------------------------------------------------------------------

    def _run(self, statement: str, values: Sequence[object]) -> None:
        with self._lock:
            self._connection.execute(statement, values)

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def _operations(self, where: str, values: Sequence[object]) -> list[Operation]:
        rows = self._rows(f"SELECT {_OPERATION} FROM operation WHERE {where}", values)
        return [Operation(*_typed(row, kind=2, status=9)) for row in rows]

    def _authorisations(self, where: str, values: Sequence[object]) -> list[Authorisation]:
        rows = self._rows(f"SELECT {_AUTHORISATION} FROM authorisation WHERE {where}", values)
        return [Authorisation(*_typed(row, status=8)) for row in rows]


def _typed(row: Sequence[Any], *, status: int, kind: int | None = None) -> list[Any]:
    values = list(row)
    values[status] = Status(values[status])
    if kind is not None:
        values[kind] = Kind(values[kind])
    return values


_authorisation_values = attrgetter(*(field.name for field in fields(Authorisation)))
_operation_values = attrgetter(*(field.name for field in fields(Operation)))
# In the order of the columns and of the statements above.
_line_values = attrgetter(*(field.name for field in fields(Line)[1:-1]))
_changed_authorisation = attrgetter(
    "status", "reason", "captured_minor", "refunded_minor", "is_final", "is_voided", "details",
    "reference",
)  # fmt: skip
_changed_operation = attrgetter("status", "reason", "http_status", "answer", "acquirer", "key")
