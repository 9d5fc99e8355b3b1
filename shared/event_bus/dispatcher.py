"""
The dispatcher: drains the registry and runs the outside work given to it.

Hosted by `manage.py dispatch`, as many as you like on as many machines as you like, or by a thread
of the web process. PostgreSQL's SKIP LOCKED shares the work; nothing else is shared.
"""

import itertools
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection

from shared.event_bus import _deliver, _doorbell, _outstanding, _perform, externalise
from shared.event_bus._names import Names
from shared.event_bus._outstanding import Claim, Shore
from shared.event_bus._registry import CELERY, DISPATCHER, Intent, Runner, intents, listeners
from shared.event_bus._slots import Slots

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
LOOPS = 2
"""While one loop waits for PostgreSQL, the other has the interpreter; a third would wait for it."""
CALLS_AT_ONCE = 64
_PAUSE_SECONDS = 0.2
_POLLS_PER_PARKING = 30
"""Parking waits for a minute's worth of claims anyway, and looking for it reads every due row."""
_AGAIN = "what was claimed before"
"""A name of its own, served in turn with the others: a broken listener delays nobody else."""
_AGAIN_SECONDS = 0.1
"""How long its turn is: what a killed worker leaves behind is many rows, each claimed alone."""
Finished = Claim[tuple[Any, Any]]


class Dispatcher:
    """
    Two loops and a bounded pool of threads for outside calls.

    Only the loops use the database, each with a connection of its own; and, where events leave for
    other systems, the relay's thread.
    """

    def __init__(self) -> None:
        """Start with everything to look at."""
        self._names = Names()
        # Per intent, and a name is served by one loop at a time: neither needs a lock.
        self._finished: dict[str, queue.SimpleQueue[Finished]] = defaultdict(queue.SimpleQueue)
        self._slots: dict[str, Slots] = defaultdict(partial(Slots, CALLS_AT_ONCE))
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="call")
        self._poll_at = float("-inf")
        self._poll_lock = threading.Lock()
        self._polls = itertools.count()
        self._relays = externalise.relays()

    def run(self, stopping: threading.Event) -> None:
        """Drain until `stopping` is set; survives the database going away and coming back."""
        _doorbell.connect(self._names.ring)
        others = [
            threading.Thread(target=self._loop, args=(stopping,), name=f"dispatcher-{number}")
            for number in range(1, LOOPS)
        ]
        others += [
            threading.Thread(target=relay.run, args=(stopping,), name=f"relay-{listener_id}")
            for listener_id, relay in self._relays.items()
        ]
        try:
            with _doorbell.listening(self._names.ring):
                for other in others:
                    other.start()
                self._loop(stopping)
        finally:
            for other in others:
                other.join()
            _doorbell.disconnect(self._names.ring)
            self._calls.shutdown(wait=True, cancel_futures=True)
            for intent in _run_by(DISPATCHER):
                self._record_finished(intent)
            connection.close()

    def _loop(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._turn(stopping)
        connection.close()

    def _turn(self, stopping: threading.Event) -> None:
        name: str | None = None
        again = True
        try:
            self._poll_if_it_is_time()
            name = self._names.take(min(_PAUSE_SECONDS, self._poll_at - time.monotonic()))
            again = name is not None and self._serve(name)
        except (OperationalError, InterfaceError) as error:
            connection.close_if_unusable_or_obsolete()
            log.warning("database trouble, going on in a moment", reason=str(error).strip())
            stopping.wait(_PAUSE_SECONDS)
        except Exception:
            # A loop that ended would be missed by nobody: its thread is one of several.
            connection.close()
            log.exception("a turn of the dispatcher failed, going on")
            stopping.wait(POLL_SECONDS)
        finally:
            if name is not None:
                self._names.give_back(name, again=again)

    def _serve(self, name: str) -> bool:
        if name == _AGAIN:
            return _deliver_again_for_a_while()
        if name in self._relays:
            self._relays[name].ring()
            return False
        if name in listeners:
            return _deliver.deliver(listeners[name]) > 0
        if name in intents and intents[name].runs_in is DISPATCHER:
            self._record_finished(intents[name])
            return self._start_calls(intents[name])
        return False

    def _poll_if_it_is_time(self) -> None:
        with self._poll_lock:
            if time.monotonic() < self._poll_at:
                return
            self._poll_at = time.monotonic() + POLL_SECONDS
        self._names.ring([_AGAIN, *listeners, *(intent.id for intent in _run_by(DISPATCHER))])
        if next(self._polls) % _POLLS_PER_PARKING == 0:
            _deliver.park_the_undeliverable()
            for intent in _run_by(DISPATCHER):
                _outstanding.park_endless(intent.rows)

    def _start_calls(self, intent: Intent) -> bool:
        is_any_started = False
        for turn in self._slots[intent.id].turns():
            claims = _perform.claim(intent, turn)
            for claim in claims:
                self._start_call(intent, claim)
            is_any_started = is_any_started or bool(claims)
        return is_any_started

    def _start_call(self, intent: Intent, claim: Claim[tuple[Any, Any]]) -> None:
        self._slots[intent.id].take(_perform.merchant_of(intent, claim))
        future = self._calls.submit(_perform.run, intent, claim)
        future.add_done_callback(partial(self._finish, intent))

    def _finish(self, intent: Intent, done: "Future[Finished]") -> None:
        self._finished[intent.id].put(done.result())
        self._names.ring([intent.id])

    def _record_finished(self, intent: Intent) -> None:
        finished, waiting = [], self._finished[intent.id]
        while not waiting.empty():
            finished.append(waiting.get_nowait())
        for claim in finished:
            self._slots[intent.id].give_back(_perform.merchant_of(intent, claim))
        if finished:
            _perform.record(intent, finished)


def drain(*runners: Runner, limit: int = 100) -> None:
    """
    Do everything that is due, inline, until nothing is: for tests and one-shot commands.

    Runs the rows of the dispatcher's and of Celery's intents unless runners are named. What is not
    due yet (backed off, leased elsewhere) stays.
    """
    chosen = [i for runner in runners or (DISPATCHER, CELERY) for i in _run_by(runner)]
    busy = True
    Shore.look_everywhere()
    while busy:
        done = [_deliver.deliver(entry) for entry in listeners.values() if not entry.outward]
        done.append(externalise.send_due())
        done += [_perform.perform(intent, limit) for intent in chosen]
        done.append(_deliver.deliver_again())
        busy = any(done)


def _deliver_again_for_a_while() -> bool:
    """Whether there may be more."""
    deadline = time.monotonic() + _AGAIN_SECONDS
    while _deliver.deliver_again():
        if time.monotonic() > deadline:
            return True
    return False


def _run_by(runner: Runner) -> Sequence[Intent]:
    return [intent for intent in intents.values() if intent.runs_in is runner]
