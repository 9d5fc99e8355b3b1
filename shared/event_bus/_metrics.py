"""
What the bus counts while it works: batches, times, failures, retries, parkings, rings.

Labels are ids of listeners and intents, never of rows: their number is that of the registry. Every
call takes microseconds and does no I/O; see `shared.metrics` for where the values are kept.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from prometheus_client import Counter

from shared import metrics
from shared.metrics import BatchHistogram

_BATCH_EVENTS = metrics.histogram(
    "payflow_listener_batch_events",
    "Events that one run of a listener took",
    ["listener"],
    buckets=metrics.SIZES,
)
_RUN_SECONDS = metrics.histogram(
    "payflow_listener_run_seconds",
    "Time that one run of a listener took, its commit included",
    ["listener"],
    buckets=metrics.SHORT_SECONDS,
)
_LATENCY_SECONDS = metrics.histogram(
    "payflow_listener_latency_seconds",
    "Time from the publication of an event to the end of its run by the listener",
    ["listener"],
    buckets=metrics.LONG_SECONDS,
)
_INTENT_ROWS = metrics.histogram(
    "payflow_intent_batch_rows",
    "Rows of outside work that were recorded at once",
    ["intent"],
    buckets=metrics.SIZES,
)
_INTENT_SECONDS = metrics.histogram(
    "payflow_intent_run_seconds",
    "Time that the outside work of one row took",
    ["intent"],
    buckets=metrics.LONG_SECONDS,
)
_FAILURES = metrics.counter(
    "payflow_work_failures",
    "Exceptions of a listener about one event, or of one row of outside work",
    ["work"],
)
_PARKINGS = metrics.counter("payflow_work_parkings", "Rows put aside for an operator", ["work"])
_RETRIES = metrics.counter(
    "payflow_work_transient_retries",
    "Rows left until due again because the database was in trouble: nobody's failure",
    ["work"],
)
_RINGS = metrics.counter("payflow_doorbell_rings", "Wake-ups sent after commits, coalesced", ["to"])


class _Listener(NamedTuple):
    batch_events: BatchHistogram
    run_seconds: BatchHistogram
    latency_seconds: BatchHistogram


class _Intent(NamedTuple):
    batch_rows: BatchHistogram
    run_seconds: BatchHistogram


def ran(listener_id: str, *, batch: int, seconds: float, ages: Sequence[float]) -> None:
    """Note a finished run; `ages` are the seconds since each of its events was published."""
    of = _listener(listener_id)
    of.batch_events.observe(batch)
    of.run_seconds.observe(seconds)
    of.latency_seconds.observe_all(ages)


def called(intent_id: str, *, seconds: float) -> None:
    """Note that the outside work of one row took so long, whatever came of it."""
    _intent(intent_id).run_seconds.observe(seconds)


def recorded(intent_id: str, *, rows: int) -> None:
    """Note that the outcomes of so many rows are recorded at once."""
    _intent(intent_id).batch_rows.observe(rows)


def failed(work_id: str) -> None:
    """Note a failure of a listener or an intent."""
    _count(_FAILURES, work_id).inc()


def parked(work_id: str, rows: int = 1) -> None:
    """Note that rows of a listener or an intent were put aside for an operator."""
    _count(_PARKINGS, work_id).inc(rows)


def put_off(work_id: str, rows: int = 1) -> None:
    """Note that rows were left until due again, because the database was in trouble."""
    _count(_RETRIES, work_id).inc(rows)


def rang(to: str) -> None:
    """Note a wake-up sent to `dispatchers` or `celery`."""
    _count(_RINGS, to).inc()


# Looked up once: `labels` builds and compares strings under a lock at every call.
@cache
def _listener(listener_id: str) -> _Listener:
    kinds = (_BATCH_EVENTS, _RUN_SECONDS, _LATENCY_SECONDS)
    return _Listener(*(kind.labels(listener_id) for kind in kinds))


@cache
def _intent(intent_id: str) -> _Intent:
    return _Intent(*(kind.labels(intent_id) for kind in (_INTENT_ROWS, _INTENT_SECONDS)))


@cache
def _count(kind: Counter, label: str) -> Counter:
    return kind.labels(label)
