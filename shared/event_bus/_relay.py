"""
Sending publications of outward listeners to their broker, outside any transaction.

A claim, a send and the deletion of what was confirmed are three steps. Whoever dies between the
last two sends again: at least once, with the same message id. Within a story only the head is
claimed, so the next event is not sent before the broker has confirmed the one before it.

# Note [What a cut costs]

The broker is asked for a channel before anything is claimed, so a long outage costs no attempts.
What was claimed when a connection broke is given back: its claims count as ended. What was under
way waits for a moment that grows with its claims, and is then sent alone, so that an event on which
every connection breaks soon delays nobody but its own story.
"""

import threading
import time
from collections.abc import Sequence

import structlog
from django.db import InterfaceError, OperationalError, connection

from shared import db
from shared.correlation import working_on
from shared.event_bus import _metrics, _outstanding
from shared.event_bus._connecting import BrokerTrouble
from shared.event_bus._deliver import restored_or_parked
from shared.event_bus._outlet import Outlet
from shared.event_bus._outstanding import Claim
from shared.event_bus._perform import OutsideWorkInsideTransaction
from shared.event_bus._queue import Queue, remove
from shared.event_bus._registry import Listener
from shared.events.base import DomainEvent
from shared.models import Publication

log = structlog.get_logger(__name__)

LEASE_SECONDS = 30
"""Longer than `_BEGIN_WITHIN_SECONDS` and the longest send together."""
_BEGIN_WITHIN_SECONDS = 10
_POLL_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 30
_TRIES_TO_REMOVE = 5
"""What was sent is sent; forgetting it over a lock would send it again."""

Sending = Claim[DomainEvent]

# Two questions, because each has an index of its own.
_ANYTHING_IS_DUE = """
SELECT EXISTS (SELECT FROM shared.publication
               WHERE listener_id = %s AND attempts = 0 AND due_at <= now())
    OR EXISTS (SELECT FROM shared.publication
               WHERE listener_id = %s AND attempts > 0 AND due_at <= now())
"""
_GIVE_BACK = """
UPDATE shared.publication AS row
SET ended = row.attempts, due_at = clock_timestamp() + make_interval(secs => %s)
FROM unnest(%s, %s::integer[]) AS claim (id, attempts)
WHERE row.id = claim.id AND row.attempts = claim.attempts
"""


class Relay:
    """Sends one listener's events; a dispatcher gives it a thread, so that no loop waits for it."""

    def __init__(self, entry: Listener, outlet: Outlet) -> None:
        """Say whose events, and where to."""
        self._entry, self._outlet = entry, outlet
        self._rung = threading.Event()
        self._stopping = threading.Event()
        self._pause_seconds = 0.0

    def ring(self) -> None:
        """Say that there is something to send; from any thread, returns at once."""
        self._rung.set()

    def run(self, stopping: threading.Event) -> None:
        """Send until `stopping` is set; survives broker and database going away."""
        self._stopping = stopping
        while not stopping.is_set():
            self._rung.wait(_POLL_SECONDS)
            self._rung.clear()
            stopping.wait(self._turn())
        self.close()
        connection.close()

    def close(self) -> None:
        """Hang up; whoever sends again connects again."""
        self._outlet.close()

    def send_due(self) -> int:
        """
        Send events until none is due; returns how many were claimed.

        Raises:
            BrokerTrouble: the broker takes nothing now; everything stays due.

        """
        if db.in_transaction():
            raise OutsideWorkInsideTransaction
        if not self._anything_is_due():
            return 0
        self._outlet.open()
        queues = (
            Queue.again_of(self._entry.id, LEASE_SECONDS),
            Queue.fresh(self._entry.id, LEASE_SECONDS),
        )
        total, busy = 0, True
        while busy and not self._stopping.is_set():
            counts = [self._send_batch(queue) for queue in queues]
            total, busy = total + sum(counts), any(counts)
        return total

    def _turn(self) -> float:
        """Send what is due; returns for how long to leave everybody in peace."""
        try:
            if self.send_due() and self._pause_seconds:
                log.info("the events broker takes events again")
                self._pause_seconds = 0.0
            return 0.0
        except BrokerTrouble as trouble:
            return self._growing_pause(trouble)
        except (OperationalError, InterfaceError) as error:
            connection.close_if_unusable_or_obsolete()
            log.warning("database trouble, going on in a moment", reason=str(error).strip())
        except Exception:
            # A thread that ended would be missed by nobody.
            connection.close()
            log.exception("sending events failed, going on")
        return _POLL_SECONDS

    def _growing_pause(self, trouble: BrokerTrouble) -> float:
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds or 0.5)
        self._pause_seconds = pause
        log.warning("events wait for their broker", reason=str(trouble), pause_seconds=pause)
        return pause

    def _send_batch(self, queue: Queue) -> int:
        begun_at = time.monotonic()
        claims, put_off = queue.claim()
        known = [
            Claim(claim.row_id, claim.attempts, event)
            for claim in claims
            if (event := restored_or_parked(claim)) is not None
        ]
        ages = {claim.row_id: float(claim.item[9]) for claim in claims}
        sent = self._send(known, until=begun_at + _BEGIN_WITHIN_SECONDS)
        if sent:
            seconds = time.monotonic() - begun_at
            ages_sent = [ages[claim.row_id] + seconds for claim in sent]
            _metrics.ran(self._entry.id, batch=len(sent), seconds=seconds, ages=ages_sent)
        return len(claims) + put_off

    def _send(self, claims: Sequence[Sending], *, until: float) -> Sequence[Sending]:
        """Send one by one; removes and returns what was confirmed, gives back what was not."""
        waiting = {claim.item.event_id: claim for claim in claims}
        confirmed: list[Sending] = []
        under_way: list[Sending] = []

        def taken(event_id: str) -> None:
            confirmed.append(waiting.pop(event_id))

        try:
            if len(claims) > 1:
                under_way = list(claims)
                self._outlet.send_together([claim.item for claim in claims], taken)
            for event_id, claim in list(waiting.items()):
                if time.monotonic() > until or self._stopping.is_set():
                    break
                under_way = [claim]
                if self._is_over(claim):
                    taken(event_id)
                else:
                    del waiting[event_id]
        except BrokerTrouble:
            lost = [waiting.pop(c.item.event_id) for c in under_way if c.item.event_id in waiting]
            _give_back(lost, seconds=_wait_seconds(lost))
            raise
        finally:
            self._remove(confirmed)
            _give_back(list(waiting.values()))
        return confirmed

    def _is_over(self, claim: Sending) -> bool:
        """Send one event; whether the broker has it, in its topic or among the dead letters."""
        with working_on(claim.item.correlation_id):
            try:
                self._outlet.send(claim.item)
            except BrokerTrouble:
                raise
            except Exception as refusal:  # noqa: BLE001 - whatever it says, it has not taken it
                return self._is_over_refused(claim, refusal)
            return True

    def _is_over_refused(self, claim: Sending, refusal: Exception) -> bool:
        failures = _failures(claim) + 1
        if failures < _outstanding.FAILURES_UNTIL_PARKED:
            self._fail(claim, refusal)
            return False
        try:
            self._outlet.bury(claim.item, refusal, failures=failures)
        except BrokerTrouble:
            raise
        except Exception as error:  # noqa: BLE001 - its traceback shows the refusal, too
            self._fail(claim, error)
            return False
        log.error("event dead-lettered", event_id=claim.item.event_id, reason=str(refusal))
        return True

    def _fail(self, claim: Sending, error: Exception) -> None:
        _outstanding.record_failure(self._entry.id, Publication, claim, error)

    def _remove(self, confirmed: Sequence[Sending]) -> None:
        if confirmed:
            _outstanding.settle(
                self._entry.id, confirmed, finish=_end, fail=self._fail, tries=_TRIES_TO_REMOVE
            )

    def _anything_is_due(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_ANYTHING_IS_DUE, [self._entry.id, self._entry.id])
            (is_due,) = cursor.fetchone()
            return bool(is_due)


def _end(claims: Sequence[Sending]) -> None:
    remove(claims)


def _give_back(claims: Sequence[Sending], *, seconds: float = 0) -> None:
    """End claims without a verdict: due again, and no step towards being parked as endless."""
    if claims:
        ids, attempts = [claim.row_id for claim in claims], [claim.attempts for claim in claims]
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_BACK, [seconds, ids, attempts])


def _wait_seconds(lost: Sequence[Sending]) -> float:
    attempts = max((claim.attempts for claim in lost), default=0)
    return float(min(_LONGEST_WAIT_SECONDS, 2**attempts))


def _failures(claim: Sending) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT failures FROM shared.publication WHERE id = %s", [claim.row_id])
        (failures,) = cursor.fetchone() or (0,)
        return int(failures)
