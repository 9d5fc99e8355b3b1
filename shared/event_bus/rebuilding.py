"""
Filling another, empty database from the retained events, to see what listeners make of them there.

The other database is closed first: nothing that its listeners publish is written, since it was
published before and copied. Only the listeners that are named get publications, so nobody there
has anything to tell the outside world.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

from shared.errors import Rejected
from shared.event_bus._deliver import deliver, deliver_again
from shared.event_bus._registry import listened_events, listeners
from shared.models import Publication

Line = psycopg.Connection[tuple[Any, ...]]
STORIES_AT_ONCE = 200

_COLUMNS = (
    "sequence, event_id, event_type, version, correlation_id, subject_id, merchant_id,"
    " occurred_at, payload, published_at"
)
_RELATIONS = """
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
"""
_WHICH_DATABASE = "SELECT pg_postmaster_start_time()::text, current_database()::text"
_CLOSE = """
CREATE FUNCTION shared.event_was_published_before() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER event_was_published_before BEFORE INSERT ON shared.event
FOR EACH ROW EXECUTE FUNCTION shared.event_was_published_before();
"""
_EXPECT = """
INSERT INTO shared.publication (event_id, listener_id, correlation_id)
SELECT sequence, %(listener_id)s, correlation_id FROM shared.event
WHERE event_type = ANY(%(types)s) AND correlation_id <> ALL(%(without)s::uuid[])
ORDER BY sequence
"""
_STORIES = """
SELECT DISTINCT correlation_id FROM shared.event
WHERE correlation_id > %s ORDER BY correlation_id LIMIT %s
"""
_HASTEN = """
UPDATE shared.publication SET due_at = now() WHERE due_at IS NOT NULL
"""
_TRIED = "SELECT EXISTS (SELECT FROM shared.publication WHERE due_at IS NOT NULL AND attempts > 0)"


class NotEmpty(Rejected):
    """The database to rebuild into must be empty: create a new one for it."""


class SameDatabase(Rejected):
    """That is the running database itself: name an empty one to rebuild into."""


def refuse_unless_empty(into: Line) -> None:
    """
    Look before anything is written.

    Raises:
        SameDatabase: it is the database that this process works on.
        NotEmpty: it has tables.

    """
    with connection.cursor() as cursor:
        cursor.execute(_WHICH_DATABASE)
        if into.execute(_WHICH_DATABASE).fetchone() == cursor.fetchone():
            raise SameDatabase
    if into.execute(_RELATIONS).fetchone() != (0,):
        raise NotEmpty


def copy_events(into: Line) -> int:
    """
    Copy all retained events into the migrated, empty database, and close it; returns how many.

    One statement reads them, so that no event is copied without what came before it in its story:
    a read transaction as long as the copy takes.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        reading = cursor.copy(
            f"COPY (SELECT {_COLUMNS} FROM shared.event) TO STDOUT (FORMAT binary)"
        )
        with into.cursor() as target, reading as source:
            with target.copy(
                f"COPY shared.event ({_COLUMNS}) FROM STDIN (FORMAT binary)"
            ) as written:
                for block in source:
                    written.write(block)
            copied = target.rowcount
    into.execute(_CLOSE)
    into.execute("ANALYZE shared.event")
    return copied


def expect(into: Line, listener_id: str, *, without: Sequence[UUID] = ()) -> int:
    """Make a listener's publications of the copied events, save for some stories; how many."""
    types = [event.event_type for event in listened_events(listeners[listener_id])]
    facts = {"listener_id": listener_id, "types": types, "without": list(without)}
    return into.execute(_EXPECT, facts).rowcount


def stories(into: Line) -> Iterator[list[UUID]]:
    """The stories of the copied events, a batch at a time."""
    after = UUID(int=0)
    while batch := into.execute(_STORIES, [after, STORIES_AT_ONCE]).fetchall():
        yield [story for (story,) in batch]
        after = batch[-1][0]


def drain_only(listener_ids: Iterable[str]) -> int:
    """
    Deliver everything in the rebuilt database, without waiting between tries.

    Returns how many publications were parked: events that their listener refuses there.
    """
    entries = [listeners[listener_id] for listener_id in listener_ids]
    while True:
        while any([*map(deliver, entries), deliver_again()]):
            pass
        with connection.cursor() as cursor:
            cursor.execute(_TRIED)
            if cursor.fetchone() == (False,):
                break
            cursor.execute(_HASTEN)
    return Publication.objects.filter(parked_at__isnull=False).count()
