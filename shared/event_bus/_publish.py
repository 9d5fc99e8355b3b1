"""Writing events and their publications, in the transaction of what happened."""

import json
from functools import partial

from django.db import connection, transaction

from shared import db
from shared.event_bus import _doorbell
from shared.event_bus._registry import ids_listening_to
from shared.events.base import DomainEvent

# One statement for any number of events. The identity is drawn in the order given, while the
# publisher holds its aggregate's row lock: that is the order of the story.
_INSERT = """
WITH published AS (
    INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id,
                              merchant_id, occurred_at, payload)
    SELECT event_id, event_type, version, correlation_id, subject_id, merchant_id, occurred_at,
           payload
    FROM unnest(%s::uuid[], %s::text[], %s::smallint[], %s::uuid[], %s::uuid[], %s::uuid[],
                %s::timestamptz[], %s::jsonb[])
         WITH ORDINALITY AS given (event_id, event_type, version, correlation_id, subject_id,
                                   merchant_id, occurred_at, payload, position)
    ORDER BY position
    RETURNING sequence, event_type, correlation_id
)
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
SELECT published.sequence, listening.listener_id, published.correlation_id
FROM published
JOIN unnest(%s::text[], %s::text[]) AS listening (event_type, listener_id)
     ON listening.event_type = published.event_type
"""


class PublishedOutsideTransaction(Exception):
    """
    An event was published outside a transaction, so it could not commit with what happened.

    Open the transaction in the use case (`transaction.atomic()` or `run_in_transaction`), change
    the rows in it, and publish before it ends.
    """


def publish(*events: DomainEvent) -> None:
    """
    Write events, in this order, and one publication per listener, in the current transaction.

    No transaction, no event; no commit, no event. Several events cost one statement.

    Raises:
        PublishedOutsideTransaction: no transaction is open.

    """
    if not db.in_transaction():
        raise PublishedOutsideTransaction
    if not events:
        return
    listening = {event.event_type: ids_listening_to(type(event)) for event in events}  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [*_columns(events), *_pairs(listening)])
    rung = frozenset(name for ids in listening.values() for name in ids)
    transaction.on_commit(partial(_doorbell.ring, rung), robust=True)


def _columns(events: tuple[DomainEvent, ...]) -> list[list[object]]:
    return [
        [event.event_id for event in events],
        [event.event_type for event in events],
        [event.version for event in events],
        [event.correlation_id for event in events],
        [event.subject_id for event in events],
        [event.merchant_id for event in events],
        [event.occurred_at for event in events],
        [json.dumps(event.stored()) for event in events],
    ]


def _pairs(listening: dict[str, tuple[str, ...]]) -> list[list[str]]:
    pairs = [(event_type, name) for event_type, ids in listening.items() for name in ids]
    return [[event_type for event_type, _ in pairs], [name for _, name in pairs]]
