"""What is to be judged: our rows, the acquirer's book, and what the merchant was told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from payflow.runtime.torture.client import Demand

Row = dict[str, Any]


@dataclass
class Evidence:
    """Everything that was written anywhere, as plain rows."""

    demands: list[Demand] = field(default_factory=list)
    book: list[Row] = field(default_factory=list)
    """The sandbox's lines."""
    payments: list[Row] = field(default_factory=list)
    operations: list[Row] = field(default_factory=list)
    assessments: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    outstanding: list[Row] = field(default_factory=list)
    """Publications, open operations and messages that are not done, with why."""
    imbalances: list[Row] = field(default_factory=list)


def collect(database: str, demands: Iterable[Demand], book: list[Row]) -> Evidence:
    """Read every row from a database at rest."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = {name: connection.execute(text).fetchall() for name, text in _QUERIES.items()}
    return Evidence(demands=list(demands), book=book, **rows)


# In the order in which each listener's effects happened, where one has an order.
_QUERIES: dict[str, LiteralString] = {
    "payments": """
        SELECT id::text, idempotency_key AS key, status, correlation_id::text AS story,
               authorised_minor, captured_minor, released_minor, refunded_minor,
               capturing_minor + refunding_minor AS reserved_minor
        FROM payments.payment""",
    "operations": """
        SELECT id::text, payment_id::text, idempotency_key AS key, kind, verdict
        FROM payments.operation""",
    "assessments": "SELECT payment_id::text FROM fraud.assessment",
    "entries": """
        SELECT entry.event_id::text, entry_type, correlation_id::text AS story, amount_minor
        FROM ledger.journal_entry AS entry JOIN ledger.posting ON posting.entry_id = entry.id
        GROUP BY entry.id ORDER BY min(posting.id)""",
    "messages": """
        SELECT event_id::text, template, correlation_id::text AS story, sent_at IS NOT NULL AS sent
        FROM notifications.message ORDER BY created_at""",
    "events": """
        SELECT sequence, event_id::text, event_type, correlation_id::text AS story,
               subject_id::text AS subject
        FROM shared.event ORDER BY sequence""",
    "records": """
        SELECT event_id::text, event_type, correlation_id::text AS story
        FROM audit.record ORDER BY id""",
    "outstanding": """
        SELECT 'publication' AS kind, listener_id || ' #' || event_id AS what, attempts,
               parked_at IS NOT NULL AS parked, last_error FROM shared.publication
        UNION ALL
        SELECT 'operation', kind || ' ' || id, attempts, parked_at IS NOT NULL, last_error
        FROM payments.operation WHERE verdict = '' OR parked_at IS NOT NULL
        UNION ALL
        SELECT 'message', template || ' ' || id, attempts, parked_at IS NOT NULL, last_error
        FROM notifications.message WHERE sent_at IS NULL""",
    "imbalances": """
        SELECT format('trial balance of %s is %s', currency, sum(balance_minor)) AS what
        FROM ledger.account GROUP BY currency HAVING sum(balance_minor) <> 0
        UNION ALL
        SELECT format('account %s says %s, its postings %s', account.id, balance_minor,
                      coalesce(sum(debit_minor - credit_minor), 0))
        FROM ledger.account LEFT JOIN ledger.posting ON posting.account_id = account.id
        GROUP BY account.id
        HAVING balance_minor <> coalesce(sum(debit_minor - credit_minor), 0)
        UNION ALL
        SELECT format('entry %s does not balance', entry_id)
        FROM ledger.posting GROUP BY entry_id HAVING sum(debit_minor) <> sum(credit_minor)""",
}
