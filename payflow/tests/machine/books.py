"""Reading what is stored, to be compared with what the auditor says must be."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from ledger.queries import find_imbalances, list_balances, trial_balance

_PAYMENTS = """
SELECT id, status, authorised_minor, captured_minor, capturing_minor, released_minor,
       refunded_minor, refunding_minor, in_doubt
FROM payments.payment WHERE id = ANY(%s)
"""
_OPERATIONS = """
SELECT payment_id, id, lower(kind), amount_minor, verdict = '', outcome = 'APPROVED'
FROM payments.operation WHERE payment_id = ANY(%s) ORDER BY created_at, id
"""
_ENTRIES = """
SELECT entry.correlation_id, lower(entry.entry_type), sum(entry.amount_minor)
FROM ledger.journal_entry AS entry WHERE entry.correlation_id = ANY(%s) GROUP BY 1, 2
"""
_HASTEN = """
UPDATE payments.operation SET due_at = '2000-01-01' WHERE id = ANY(%s) AND due_at IS NOT NULL
"""


def payments(ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Status, amounts and doubt of payments."""
    names = (
        "status",
        "authorised",
        "captured",
        "capturing",
        "released",
        "refunded",
        "refunding",
        "in_doubt",
    )
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in _rows(_PAYMENTS, ids)}


def operations(ids: Sequence[UUID]) -> dict[UUID, dict[UUID, tuple[str, int, bool, bool]]]:
    """Of payments, per operation: kind, amount, whether it is open, whether it is known as done."""
    found: dict[UUID, dict[UUID, tuple[str, int, bool, bool]]] = defaultdict(dict)
    for payment_id, operation_id, *facts in _rows(_OPERATIONS, ids):
        found[payment_id][operation_id] = tuple(facts)
    return found


def entries(ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """What was posted for payments, per type of entry."""
    stories = {
        story: payment_id
        for payment_id, story in _rows(
            "SELECT id, correlation_id FROM payments.payment WHERE id = ANY(%s)", ids
        )
    }
    found: dict[UUID, dict[str, int]] = defaultdict(dict)
    for story, entry_type, amount in _rows(_ENTRIES, list(stories)):
        found[stories[story]][entry_type] = int(amount)
    return found


def balances(merchant_id: UUID) -> dict[str, tuple[int, int]]:
    """Per currency: pending and available."""
    return {
        balance.currency: (balance.pending_minor, balance.available_minor)
        for balance in list_balances(merchant_id)
    }


def wrongs() -> list[object]:
    """Everything that the ledger itself finds wrong."""
    return [*find_imbalances(), *(line for line in trial_balance() if line.difference_minor)]


def undelivered() -> int:
    """Events that somebody has still to hear of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shared.publication")
        return int(cursor.fetchone()[0])


def hasten(ids: Sequence[UUID]) -> None:
    """Make operations due that wait for their time."""
    with connection.cursor() as cursor:
        cursor.execute(_HASTEN, [list(ids)])


def _rows(statement: str, ids: Sequence[UUID]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(ids)])
        return list(cursor.fetchall())
