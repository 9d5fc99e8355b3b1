"""Rebuilding ledger and trail in another database, and finding what differs."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from psycopg import sql

from payflow.tests.lives import lived
from payflow.tests.processes import database_urls
from shared import clock
from shared.event_bus.retention import purge_events
from shared.models import Event, Publication

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

_GUARDS = (
    "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal"
)
_ENABLED = {"O": "ENABLE", "A": "ENABLE ALWAYS", "D": "DISABLE"}
_CAPTURE = "entry_type = 'CAPTURE' AND amount_minor = 25000"


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The URL of a new database."""
    url = database_urls()["DATABASE_OWNER_URL"]
    name = sql.Identifier(f"rebuilt_{uuid4().hex[:12]}")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield url.rpartition("/")[0] + "/" + name.as_string().strip('"')
        drop_database(server, name)


def drop_database(server: psycopg.Connection[Any], name: sql.Identifier) -> None:
    """
    Drop it, ending what is left of our own connections first.

    Not `WITH (FORCE)`: that ends an autovacuum worker as if it were a client's session, which needs
    a superuser ("permission denied to terminate process"). A plain DROP sends such workers away by
    itself.
    """
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = %s AND backend_type = 'client backend'",
        [name.as_string().strip('"')],
    )
    server.execute(sql.SQL("DROP DATABASE {}").format(name))


def rebuild(url: str) -> str:
    """What it prints, errors included."""
    out = StringIO()
    try:
        call_command("events", "rebuild", "--into", url, stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}\n{error}"
    return out.getvalue()


def tamper(table: str, statement: str) -> None:
    """Change what nobody can change: as the owner, with the table's guards off meanwhile."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(_GUARDS, [table])
        guards = cursor.fetchall()
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
        for name, enabled in guards:
            cursor.execute(f"ALTER TABLE {table} {_ENABLED[enabled]} TRIGGER {name}")


class TestRebuild:
    def test_finds_what_runs_as_its_events_make_it(self, empty_database: str) -> None:
        lived()
        events = Event.objects.count()
        said = rebuild(empty_database)
        assert "no differences" in said, said
        assert f"copied {events} events" in said
        with psycopg.connect(empty_database) as there:
            (published,) = there.execute("SELECT count(*) FROM shared.event").fetchone() or (None,)
            (sent,) = there.execute("SELECT count(*) FROM notifications.message").fetchone() or (
                None,
            )
        # What listeners publish there was published before, and nobody is told again.
        assert (published, sent) == (events, 0)

    def test_finds_planted_differences(self, empty_database: str) -> None:
        lived()
        entry = f"(SELECT id FROM ledger.journal_entry WHERE {_CAPTURE})"
        tamper(
            "ledger.posting",
            "UPDATE ledger.posting SET credit_minor = credit_minor + 1"
            f" WHERE entry_id = {entry} AND credit_minor > 0",
        )
        tamper(
            "audit.record",
            "DELETE FROM audit.record WHERE event_type = 'Payment.Transaction.Voided'",
        )
        said = rebuild(empty_database)
        for found_in, minor in (("running", 25_001), ("rebuilt", 25_000)):
            assert f"ledger  only in {found_in}" in said, said
            assert "CAPTURE credit merchant_payable" in said
            assert str(minor) in said
        assert "trail   only in rebuilt" in said
        assert "Payment.Transaction.Voided" in said
        assert "The running database is not what its events make" in said

    def test_finds_an_altered_record(self, empty_database: str) -> None:
        lived()
        captured = "event_type = 'Payment.Transaction.Captured'"
        for change in (
            'payload = payload || \'{"amount": "0.01"}\'',
            "merchant_id = gen_random_uuid()",
            "occurred_at = occurred_at - interval '1 day'",
        ):
            tamper("audit.record", f"UPDATE audit.record SET {change} WHERE {captured}")
        said = rebuild(empty_database)
        assert "altered only in running" in said, said
        assert "Payment.Transaction.Captured: merchant, payload.amount, time" in said
        assert "0.01" not in said
        assert "The running database is not what its events make" in said

    def test_does_not_take_for_a_difference_what_is_older_or_not_delivered(
        self, empty_database: str
    ) -> None:
        lived()
        # A story that began long ago: its hold was booked for an event that is gone.
        tamper(
            "shared.event",
            "UPDATE shared.event SET published_at = now() - interval '31 days' WHERE sequence ="
            " (SELECT min(sequence) FROM shared.event"
            "  WHERE event_type = 'Payment.Transaction.Authorised')",
        )
        tamper(
            "ledger.journal_entry",
            "UPDATE ledger.journal_entry SET created_at = now() - interval '31 days'"
            " WHERE event_id = (SELECT event_id FROM shared.event ORDER BY published_at LIMIT 1)",
        )
        assert purge_events(before=clock.now() - timedelta(days=30)) == 1
        # And a story whose end the ledger has not been given.
        voided = Event.objects.get(event_type="Payment.Transaction.Voided")
        tamper("audit.record", f"DELETE FROM audit.record WHERE event_id = '{voided.event_id}'")
        Publication.objects.create(
            event=voided, listener_id="audit.record_event", correlation_id=voided.correlation_id
        )
        said = rebuild(empty_database)
        assert "no differences" in said, said
        assert "entries from before the retained events" in said
        assert "not delivered yet" in said

    def test_refuses_a_database_with_anything_in_it(self, empty_database: str) -> None:
        with psycopg.connect(empty_database, autocommit=True) as there:
            there.execute("CREATE TABLE somebodys (id int)")
        assert "must be empty" in rebuild(empty_database)

    def test_refuses_the_running_database(self) -> None:
        assert "the running database itself" in rebuild(database_urls()["DATABASE_OWNER_URL"])

    def test_says_when_there_is_no_such_database(self) -> None:
        url = database_urls()["DATABASE_OWNER_URL"] + "_not_there"
        assert "does not exist" in rebuild(url)
