"""
Transactions as units that may be run again.

`transaction` says where one begins; `run_in_transaction` also says what happens when
PostgreSQL asks for another try: the whole unit runs again, a bounded number of times.
"""

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.transaction import Atomic, atomic

from shared.errors import Unavailable

Result = TypeVar("Result")

_TRIES = 4
# Serialisation failure, deadlock, lock not available: PostgreSQL rolled back and says "again".
TRY_AGAIN_STATES = frozenset({"40001", "40P01", "55P03"})


class OutcomeUnknown(Unavailable):
    """
    The connection was lost while committing, so nobody knows whether it happened.

    Repeat the request with the same idempotency key: it tells.
    """


def transaction() -> Atomic:
    """
    One transaction for a use case: opens it, or joins the one that is open.

    Joining costs nothing: there is no savepoint, so an error inside ends the whole transaction,
    which is what the error of a use case means.
    """
    return atomic(savepoint=False)


def run_in_transaction(work: Callable[[], Result]) -> Result:
    """
    Run `work` in one transaction and commit; run it all again when PostgreSQL asks for it.

    `work` must have no effect outside the database. Inside another transaction it joins that one
    and leaves trying again to whoever opened it.

    Raises:
        OutcomeUnknown: the connection was lost during COMMIT.

    """
    if in_transaction():
        return work()
    for remaining in reversed(range(_TRIES)):
        try:
            return _once(work)
        except (OperationalError, InterfaceError) as error:
            connection.close_if_unusable_or_obsolete()
            if not remaining or not is_transient(error):
                raise
            time.sleep(random.uniform(0, 0.05) * (_TRIES - remaining))  # noqa: S311 - jitter
    raise AssertionError("unreachable")


def _once(work: Callable[[], Result]) -> Result:
    committing = False
    try:
        with atomic(durable=True):
            result = work()
            committing = True
        return result
    except (OperationalError, InterfaceError) as error:
        if committing and is_lost_connection(error):
            connection.close()
            raise OutcomeUnknown from error
        raise


def in_transaction() -> bool:
    """Whether a transaction is open that a test case did not open."""
    blocks: list[Any] = connection.atomic_blocks
    return any(not block._from_testcase for block in blocks)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed if simply run again: no fault of the work itself."""
    state = sqlstate(error) or ""
    # 53…: out of disk, memory or connections; 58…: the system failed; 25006: a failover, where the
    # server is read-only for a moment.
    is_servers_trouble = state.startswith(("53", "58")) or state == "25006"
    return state in TRY_AGAIN_STATES or is_servers_trouble or is_lost_connection(error)


def is_lost_connection(error: BaseException) -> bool:
    """Whether the server or the network went away, instead of answering with an error."""
    state = sqlstate(error)
    if isinstance(error, InterfaceError):
        return True
    # 57P01…57P03: the server is shutting down or starting; 08…: connection exceptions.
    return isinstance(error, OperationalError) and (
        state is None or state.startswith("08") or state in ("57P01", "57P02", "57P03")
    )


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code behind a Django database error, if it sent one."""
    cause = error.__cause__ if isinstance(error, DatabaseError | InterfaceError) else error
    return getattr(cause, "sqlstate", None)


def violated_constraint(error: DatabaseError) -> str | None:
    """The name of the constraint an IntegrityError is about."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)
