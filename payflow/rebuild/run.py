"""Rebuilding into an empty database, and comparing it with the running one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection, transaction

from ledger.queries import Booked
from payflow.rebuild import LISTENERS
from payflow.rebuild.comparison import LEDGER, Verdict, causeless_entry, compare
from payflow.rebuild.traces import Trace, traces_of
from shared import clock
from shared.event_bus import rebuilding
from shared.models import Event, Publication

Say = Callable[[str], object]

_ROOT = Path(__file__).resolve().parents[2]
_ERRORS_SHOWN = 4_000


class NotRebuilt(Exception):
    """The other database could not be filled; the message says why."""


def rebuild(url: str, *, say: Say) -> Verdict:
    """
    Fill the empty database at `url` and compare; says what it is doing.

    Raises:
        SameDatabase, NotEmpty: that is not a database to rebuild into.
        NotRebuilt: it could not be reached or filled.

    """
    try:
        with psycopg.connect(url, autocommit=True, application_name="payflow rebuild") as into:
            rebuilding.refuse_unless_empty(into)
            say("creating the tables")
            _run_there(url, "manage.py", "migrate", "--database=owner", "--verbosity=0")
            say("copying the events")
            say(f"copied {rebuilding.copy_events(into)} events; looking for where they begin")
            verdict = Verdict()
            partial = _partial_stories(into, verdict)
            for listener_id in LISTENERS:
                left_out = partial if listener_id == LEDGER else ()
                count = rebuilding.expect(into, listener_id, without=list(left_out))
                say(f"{listener_id} listens to {count} of them")
            with _rebuilt_traces(url) as traces:
                _compare_all(traces, partial, verdict)
    except psycopg.Error as error:
        raise NotRebuilt(str(error).strip()) from None
    return verdict


def _partial_stories(into: rebuilding.Line, verdict: Verdict) -> set[UUID]:
    """Stories that began before the retained events: what is left of them cannot be booked."""
    kept_since = clock.now() - timedelta(days=settings.EVENTS_KEPT_DAYS)
    partial = set()
    for stories in rebuilding.stories(into):
        for trace in traces_of(stories):
            causeless = _without_event(trace)
            old = [entry for entry in causeless if entry.created_at < kept_since]
            verdict.count_older(old)
            verdict.note([causeless_entry(entry) for entry in causeless if entry not in old])
            if old:
                partial.add(trace.story)
    return partial


def _without_event(trace: Trace) -> list[Booked]:
    """Entries for events of payments that are not retained."""
    # By the registry that runs, where what came after the copy is retained, too.
    retained = {UUID(event_id) for event_id, _ in trace.events}
    missing = [e for e in trace.entries if e.is_of_a_payment_event and e.event_id not in retained]
    if missing:
        # The books were read after the events: one may have come in between.
        events = Event.objects.filter(event_id__in=[entry.event_id for entry in missing])
        retained = set(events.values_list("event_id", flat=True))
    return [entry for entry in missing if entry.event_id not in retained]


def _compare_all(traces: Iterator[Trace], partial: set[UUID], verdict: Verdict) -> None:
    while batch := list(islice(traces, rebuilding.STORIES_AT_ONCE)):
        running, undelivered = _running([trace.story for trace in batch])
        for ours, theirs in zip(running, batch, strict=True):
            compare(
                ours,
                theirs,
                verdict,
                undelivered=undelivered.get(ours.story, ()),
                without_ledger=ours.story in partial,
            )


def _running(stories: Sequence[UUID]) -> tuple[list[Trace], dict[UUID, set[tuple[str, str]]]]:
    """The stories as they are here, and what their listeners have not been given yet."""
    undelivered: dict[UUID, set[tuple[str, str]]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        # One snapshot: a publication goes in the transaction in which its effect comes.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        traces = traces_of(stories)
        waiting = Publication.objects.filter(listener_id__in=LISTENERS, correlation_id__in=stories)
        found = waiting.values_list("correlation_id", "listener_id", "event__event_id")
        for story, listener_id, event_id in found:
            undelivered.setdefault(story, set()).add((listener_id, str(event_id)))
    return traces, undelivered


def _run_there(url: str, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=_ROOT,
        env=_there(url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotRebuilt(done.stderr[-_ERRORS_SHOWN:].strip())


@contextmanager
def _rebuilt_traces(url: str) -> Iterator[Iterator[Trace]]:
    command = [sys.executable, "-m", "payflow.rebuild"]
    with subprocess.Popen(
        command, cwd=_ROOT, env=_there(url), stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield (Trace.from_line(line) for line in child.stdout or ())
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        raise NotRebuilt(f"listening in the other database ended with {child.returncode}")


def _there(url: str) -> dict[str, str]:
    # One role for both: it owns what it creates.
    there = {"DATABASE_URL": url, "DATABASE_OWNER_URL": url, "PAYFLOW_PROCESS": "payflow rebuild"}
    return os.environ | there
