"""Writing events and their publications, in the transaction of what happened."""

import json
from functools import partial

from django.db import connection, transaction

from shared import db
from shared.event_bus import _doorbell
from shared.event_bus._failpoints import Failpoint, hit
from shared.event_bus._registry import ids_listening_to
from shared.events.base import DomainEvent

# One statement for any number of events (Note [Why JSON carries the rows]). The identity is drawn
# in the order given, while the publisher holds its aggregate's row lock: that is the story's order.
_INSERT = """
WITH published AS (
    INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id,
                              merchant_id, occurred_at, payload)
    SELECT event_id, event_type, version, correlation_id, subject_id, merchant_id, occurred_at,
           payload
    FROM json_to_recordset(%s::json)
         AS given (position integer, event_id uuid, event_type text, version smallint,
                   correlation_id uuid, subject_id uuid, merchant_id uuid,
                   occurred_at timestamptz, payload jsonb)
    ORDER BY position
    RETURNING sequence, event_type, correlation_id
)
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
SELECT published.sequence, listening.listener_id, published.correlation_id
FROM published
JOIN json_to_recordset(%s::json) AS listening (event_type text, listener_id text) USING (event_type)
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
        cursor.execute(_INSERT, [_rows(events), _pairs(listening)])
    hit(Failpoint.PUBLISH_WRITTEN)
    rung = frozenset(name for ids in listening.values() for name in ids)
    transaction.on_commit(partial(_wake, rung), robust=True)


def _wake(names: frozenset[str]) -> None:
    hit(Failpoint.PUBLISH_COMMITTED)
    _doorbell.ring(names)


def _rows(events: tuple[DomainEvent, ...]) -> str:
    return json.dumps([_row(position, event) for position, event in enumerate(events)])


def _row(position: int, event: DomainEvent) -> dict[str, object]:
    return {
        "position": position,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "version": event.version,
        "correlation_id": event.correlation_id,
        "subject_id": event.subject_id,
        "merchant_id": event.merchant_id,
        "occurred_at": event.occurred_at,
        "payload": event.stored(),
    }


def _pairs(listening: dict[str, tuple[str, ...]]) -> str:
    return json.dumps(
        [
            {"event_type": event_type, "listener_id": listener_id}
            for event_type, ids in listening.items()
            for listener_id in ids
        ]
    )
