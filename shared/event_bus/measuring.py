"""
Figures about outstanding work that may be asked for every few seconds, however much there is.

Nothing is counted beyond `COUNTED_AT_MOST`, every figure comes from an index, and each statement
is given up after a second. `standing` has the exact ones, for people.

# Note [Every figure from an index]

A sort by the columns of an index keeps the planner to it: without one, it may read a million rows
of other listeners (or dead ones) to find that a listener has none.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from shared.event_bus._registry import Intent, listeners
from shared.event_bus.standing import LISTENERS_WITH_WORK

COUNTED_AT_MOST = 10_000
_STATEMENT_MS = 1_000


@dataclass(frozen=True)
class WorkFigures:
    """
    How the work of a listener or an intent stands; counts end at `COUNTED_AT_MOST`.

    `oldest_seconds` is how long the one that has waited longest could have been taken by a worker,
    `oldest_claims` how often that one was claimed. `claimed` rows were claimed before: they failed,
    or are being worked on. `parked` ones wait for an operator, the first for `parked_seconds`.
    """

    name: str
    outstanding: int
    oldest_seconds: float
    oldest_claims: int
    claimed: int
    claims: int
    parked: int
    parked_seconds: float


@dataclass(frozen=True)
class DatabaseFigures:
    """
    What holds the registry up without being its fault.

    `oldest_transaction_seconds` sees other roles' transactions only with `pg_read_all_stats`;
    `horizon_transactions` sees all of them, prepared ones and replication slots: how many
    transactions began since the oldest that somebody may still look back to.
    """

    oldest_transaction_seconds: float
    horizon_transactions: int
    dead_publications: int
    live_publications: int
    dispatchers: int


def measure_listeners() -> list[WorkFigures]:
    """Every registered listener, and every other one that has publications."""
    return [WorkFigures(*row) for row in _asked(_LISTENERS, [sorted(listeners)])]


def measure_intent(intent: Intent) -> WorkFigures:
    """An intent's rows of outside work."""
    (row,) = _asked(_INTENT.format(table=intent.rows._meta.db_table), [])
    return WorkFigures(intent.id, *row)


def measure_database() -> DatabaseFigures:
    """Transactions, dead rows and dispatchers."""
    (row,) = _asked(_DATABASE, [])
    return DatabaseFigures(*row)


def _asked(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


_LISTENERS = f"""
WITH RECURSIVE {LISTENERS_WITH_WORK}, named AS (
    SELECT unnest(%s::text[]) AS id UNION SELECT id FROM waiting_listener WHERE id IS NOT NULL
), claimed AS (
    SELECT listener_id, count(*), SUM(attempts) AS claims, MIN(created_at) AS oldest_at,
           (array_agg(attempts ORDER BY created_at))[1] AS oldest_claims
    FROM (SELECT listener_id, attempts, created_at FROM shared.publication
          WHERE due_at IS NOT NULL AND attempts > 0
          ORDER BY due_at LIMIT {COUNTED_AT_MOST}) AS first_due
    GROUP BY listener_id
), parked AS (
    SELECT listener_id, count(*), MIN(parked_at) AS since
    FROM (SELECT listener_id, parked_at FROM shared.publication
          WHERE parked_at IS NOT NULL ORDER BY parked_at LIMIT {COUNTED_AT_MOST}) AS first_parked
    GROUP BY listener_id
)
SELECT named.id, outstanding.count,
       COALESCE(extract(epoch FROM GREATEST(
           now() - LEAST(fresh.since, claimed.oldest_at), '0'))::float8, 0),
       CASE WHEN fresh.since < claimed.oldest_at THEN 0
            ELSE COALESCE(claimed.oldest_claims, 0) END,
       COALESCE(claimed.count, 0), COALESCE(claimed.claims, 0),
       COALESCE(parked.count, 0),
       COALESCE(extract(epoch FROM now() - parked.since)::float8, 0)
FROM named
CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM shared.publication WHERE listener_id = named.id
        ORDER BY listener_id, correlation_id, event_id LIMIT {COUNTED_AT_MOST}) AS capped
) AS outstanding
CROSS JOIN LATERAL (
    SELECT (SELECT due_at FROM shared.publication
            WHERE listener_id = named.id AND due_at IS NOT NULL AND attempts = 0
            ORDER BY listener_id, due_at LIMIT 1) AS since
) AS fresh
LEFT JOIN claimed ON claimed.listener_id = named.id
LEFT JOIN parked ON parked.listener_id = named.id
ORDER BY named.id
"""

_INTENT = f"""
WITH due AS MATERIALIZED (
    SELECT due_at, attempts FROM {{table}}
    WHERE due_at IS NOT NULL ORDER BY due_at LIMIT {COUNTED_AT_MOST}
), parked AS MATERIALIZED (
    SELECT parked_at FROM {{table}}
    WHERE parked_at IS NOT NULL ORDER BY parked_at LIMIT {COUNTED_AT_MOST}
)
SELECT (SELECT count(*) FROM due) + (SELECT count(*) FROM parked),
       COALESCE(extract(epoch FROM GREATEST(now() - oldest.due_at, '0'))::float8, 0),
       COALESCE(oldest.attempts, 0), again.count, again.claims,
       waiting.count, COALESCE(extract(epoch FROM now() - waiting.since)::float8, 0)
FROM (SELECT count(*) FILTER (WHERE attempts > 0), COALESCE(SUM(attempts), 0) AS claims
      FROM due) AS again
CROSS JOIN (SELECT count(*), MIN(parked_at) AS since FROM parked) AS waiting
LEFT JOIN (SELECT due_at, attempts FROM due ORDER BY due_at LIMIT 1) AS oldest ON true
"""

_DATABASE = """
SELECT COALESCE(extract(epoch FROM MAX(now() - xact_start) FILTER (
           WHERE datname = current_database() AND pid <> pg_backend_pid()))::float8, 0),
       GREATEST(COALESCE(MAX(age(backend_xmin)), 0),
                (SELECT COALESCE(MAX(age(transaction)), 0) FROM pg_prepared_xacts),
                (SELECT COALESCE(MAX(GREATEST(age(xmin), age(catalog_xmin))), 0)
                 FROM pg_replication_slots)),
       (SELECT n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'shared' AND relname = 'publication'),
       (SELECT n_live_tup FROM pg_stat_user_tables
        WHERE schemaname = 'shared' AND relname = 'publication'),
       count(*) FILTER (WHERE datname = current_database()
                          AND application_name = 'payflow doorbell' AND query LIKE 'LISTEN%%')
FROM pg_stat_activity
"""
