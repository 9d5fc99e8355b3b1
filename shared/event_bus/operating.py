"""
What an operator may do to outstanding work: put it back, or give it up, always with a reason.

Each action publishes `Operator.Action.Taken` in its own transaction, so that it is audited with
its effect or not at all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from shared import clock, db
from shared.errors import Conflict, Invalid, NotFound
from shared.event_bus._doorbell import wake
from shared.event_bus._publish import publish
from shared.event_bus._registry import intent_id_of, intents
from shared.events.operators import OperatorActionTaken
from shared.identifiers import new_id
from shared.models import Outstanding, Publication

BATCH_SIZE = 500
_RETRIED = "ended = attempts, failures = 0, parked_at = NULL, due_at = clock_timestamp()"
# The queue puts off what waits behind a parked head; once the head is free, so is its story.
_HASTEN_FOLLOWERS = """
UPDATE shared.publication SET due_at = clock_timestamp()
FROM unnest(%s::text[], %s::uuid[]) AS story (listener_id, correlation_id)
WHERE (publication.listener_id, publication.correlation_id)
      = (story.listener_id, story.correlation_id)
  AND publication.due_at > now() AND publication.attempts = 0
"""
_PARKED = """
SELECT id FROM {table}
WHERE parked_at <= %(before)s AND {which}
ORDER BY parked_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
# Whose last claim ended in a failure; what is claimed at this moment is left alone. By id, and
# nothing that came later, so that what fails again meanwhile is not met twice.
_HASTEN = """
WITH waiting AS (
    SELECT id FROM {table}
    WHERE last_error <> '' AND ended = attempts AND due_at > now()
      AND created_at <= %(before)s AND (id > %(after)s OR %(after)s::uuid IS NULL)
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS row SET due_at = clock_timestamp() FROM waiting WHERE row.id = waiting.id
RETURNING row.id
"""
_OF_ANY = "true"
_OF_A_LISTENER = "listener_id = %(listener_id)s"


class NoSuchIntent(NotFound):
    """No intent of this id is registered."""


class NotParked(Conflict):
    """Only parked work can be retried or skipped; this is still being tried."""


class ReasonRequired(Invalid):
    """An operator's action needs a reason."""


def retry(
    rows: type[Outstanding], row_ids: Sequence[object], *, actor: str, reason: str, now: datetime
) -> int:
    """
    Make parked rows due again, their failures forgotten; returns how many.

    Raises:
        NotParked: one of the rows is not parked.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        _change(
            rows,
            # `attempts` goes on counting: a worker that slept through all this must not match it.
            f"UPDATE {rows._meta.db_table} SET {_RETRIED}",
            row_ids,
        )
        _tell(rows, "retry", row_ids, actor=actor, reason=reason, now=now)
        if not issubclass(rows, Publication):
            wake(intent_id_of(rows))
    return len(row_ids)


def retry_named(row_ids: Sequence[int | UUID], *, actor: str, reason: str, now: datetime) -> int:
    """
    Make parked rows due again by their ids alone; returns how many.

    A number is a publication's, a UUID that of a row of outside work, of whichever intent.

    Raises:
        NotParked: one of the rows is not parked, or there is no such row.
        ReasonRequired: the reason is empty.

    """
    kinds: list[type[Outstanding]] = [Publication, *(intent.rows for intent in intents.values())]
    parked = {rows: _parked(rows, row_ids) for rows in kinds}
    if sum(map(len, parked.values())) != len(row_ids):
        raise NotParked
    for rows, found in parked.items():
        if found:
            retry(rows, found, actor=actor, reason=reason, now=now)
    return len(row_ids)


def retry_all(
    *,
    listener_id: str | None = None,
    intent_id: str | None = None,
    actor: str,
    reason: str,
    now: datetime,
) -> int:
    """
    Make everything that was parked by `now` due again: of a listener, of an intent, or of all.

    Outside work that failed and waits for its next try, perhaps for an hour, is due at once, too. A
    batch at a time, each a transaction of its own; returns how many. What parks again meanwhile
    stays parked.

    Raises:
        NoSuchIntent: none of this id is registered.
        ReasonRequired: the reason is empty.

    """
    retried = 0
    for rows in _kinds(listener_id, intent_id):
        which = _OF_A_LISTENER if listener_id else _OF_ANY
        statement = _PARKED.format(table=rows._meta.db_table, which=which)
        chosen = {"listener_id": listener_id, "before": now, "limit": BATCH_SIZE}
        while batch := _retry_batch(rows, statement, chosen, actor=actor, reason=reason, now=now):
            retried += batch
        if not issubclass(rows, Publication):
            retried += _hasten(rows, actor=actor, reason=reason, now=now)
    return retried


def skip(
    rows: type[Outstanding], row_ids: Sequence[object], *, actor: str, reason: str, now: datetime
) -> int:
    """
    Give parked rows up: the listener never sees the event, the intent is never run.

    Raises:
        NotParked: one of the rows is not parked.
        ReasonRequired: the reason is empty.

    """
    table = rows._meta.db_table
    change = (
        f"DELETE FROM {table}"
        if issubclass(rows, Publication)
        else f"UPDATE {table} SET parked_at = NULL, due_at = NULL"
    )
    with db.transaction():
        _change(rows, change, row_ids)
        _tell(rows, "skip", row_ids, actor=actor, reason=reason, now=now)
    return len(row_ids)


def tell(*, actor: str, action: str, subject: str, reason: str, now: datetime) -> None:
    """Publish what an operator did, in the transaction in which it was done."""
    if not reason.strip():
        raise ReasonRequired
    story = str(new_id())
    publish(
        OperatorActionTaken(
            correlation_id=story,
            subject_id=story,
            occurred_at=clock.iso(now),
            actor=actor,
            action=action,
            subject=subject,
            reason=reason.strip(),
        )
    )


def _kinds(listener_id: str | None, intent_id: str | None) -> list[type[Outstanding]]:
    if intent_id is not None and intent_id not in intents:
        raise NoSuchIntent(f"No intent {intent_id!r}; there are {', '.join(sorted(intents))}.")
    if intent_id is not None:
        return [intents[intent_id].rows]
    return [Publication] if listener_id else [Publication, *(i.rows for i in intents.values())]


def _parked(rows: type[Outstanding], row_ids: Sequence[int | UUID]) -> list[object]:
    # A statement for each kind: one that named two modules' tables would tie them together.
    kind = int if issubclass(rows, Publication) else UUID
    fitting = [row_id for row_id in row_ids if isinstance(row_id, kind)]
    parked = rows._default_manager.filter(pk__in=fitting, parked_at__isnull=False)
    return list(parked.values_list("pk", flat=True))


def _retry_batch(
    rows: type[Outstanding],
    statement: str,
    chosen: dict[str, Any],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> int:
    with db.transaction(), connection.cursor() as cursor:
        cursor.execute(statement, chosen)
        parked = [row_id for (row_id,) in cursor.fetchall()]
        return retry(rows, parked, actor=actor, reason=reason, now=now) if parked else 0


def _hasten(rows: type[Outstanding], *, actor: str, reason: str, now: datetime) -> int:
    statement, hastened = _HASTEN.format(table=rows._meta.db_table), 0
    chosen: dict[str, Any] = {"before": now, "after": None, "limit": BATCH_SIZE}
    while batch := _hasten_batch(rows, statement, chosen, actor=actor, reason=reason, now=now):
        hastened += len(batch)
        chosen["after"] = max(batch)
    return hastened


def _hasten_batch(
    rows: type[Outstanding],
    statement: str,
    chosen: dict[str, Any],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> list[Any]:
    with db.transaction(), connection.cursor() as cursor:
        cursor.execute(statement, chosen)
        batch = [row_id for (row_id,) in cursor.fetchall()]
        if batch:
            _tell(rows, "hasten", batch, actor=actor, reason=reason, now=now)
            wake(intent_id_of(rows))
    return batch


def _change(rows: type[Outstanding], statement: str, row_ids: Sequence[object]) -> None:
    has_order = issubclass(rows, Publication)
    returned = "listener_id, correlation_id" if has_order else "id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{statement} WHERE id = ANY(%s) AND parked_at IS NOT NULL RETURNING {returned}",
            [list(row_ids)],
        )
        changed = cursor.fetchall()
        if len(changed) != len(row_ids):
            raise NotParked
        if has_order:
            listener_ids, stories = [row[0] for row in changed], [row[1] for row in changed]
            cursor.execute(_HASTEN_FOLLOWERS, [listener_ids, stories])


def _tell(
    rows: type[Outstanding],
    verb: str,
    row_ids: Sequence[object],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    tell(
        actor=actor,
        action=f"{rows._meta.label_lower}.{verb}",
        subject=", ".join(str(row_id) for row_id in row_ids),
        reason=reason,
        now=now,
    )
