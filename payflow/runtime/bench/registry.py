"""Claims on a registry of a million publications, a tenth of them behind stuck heads."""

import os
import time

import psycopg

from payflow.runtime.bench.ground import Ground, say

_LISTENERS = ("audit.record_event", "ledger.post_movements", "fraud.assess_payment")
_STUCK = _LISTENERS[0]
_CLAIMS = 200

# A tenth of all rows belong to a thousand stories whose heads are parked or backed off.
_EVENTS = """
INSERT INTO shared.event (event_id, event_type, version, correlation_id, subject_id, occurred_at,
                          payload)
SELECT gen_random_uuid(), 'Operator.Action.Taken', 1,
       md5(CASE WHEN number <= %(rows)s / 10 THEN 'stuck' || number %% 1000
                ELSE 'story' || number END)::uuid,
       gen_random_uuid(), now(),
       '{"actor": "ada", "action": "test", "subject": "s", "reason": "because"}'
FROM generate_series(1, %(rows)s) AS number
"""
_PUBLICATIONS = """
INSERT INTO shared.publication (event_id, listener_id, correlation_id, due_at)
SELECT sequence,
       CASE WHEN sequence <= %(rows)s / 10 THEN %(stuck)s
            ELSE (%(listeners)s::text[])[1 + sequence %% 3] END,
       correlation_id, now() - interval '1 hour' + sequence * interval '1 millisecond'
FROM shared.event
"""
_STICK = """
UPDATE shared.publication
SET attempts = 5, failures = 5, last_error = 'broken',
    parked_at = CASE WHEN event_id % 2 = 0 THEN now() END,
    due_at = CASE WHEN event_id % 2 = 1 THEN now() + interval '1 hour' END
WHERE event_id <= 1000
"""
_NAIVE = """
SELECT id FROM shared.publication
WHERE listener_id = %s AND attempts = 0 AND due_at <= now() AND event_id = (
    SELECT head.event_id FROM shared.publication AS head
    WHERE head.listener_id = publication.listener_id
      AND head.correlation_id = publication.correlation_id
    ORDER BY head.event_id LIMIT 1)
ORDER BY due_at LIMIT 100 FOR UPDATE OF publication SKIP LOCKED
"""


def measure(ground: Ground) -> None:
    """Milliseconds per claim of a hundred, beside a claim that walks over what it cannot take."""
    rows = int(os.environ.get("BENCH_PUBLICATIONS", "1000000"))
    with psycopg.connect(ground.server.owner_url, autocommit=True) as line:
        _fill(line, rows)
        say(f"(f) {rows} outstanding, {rows // 10} stuck", "ms per claim")
        naive = _percentiles([_timed_naive(line) for _ in range(5)])
        _django(ground)
        say("    naive: walks over the stuck ones", naive)
        say("    while the stuck ones are put off", _percentiles(_claims_until_claimed()))
        say("    afterwards", _percentiles(_claims(_STUCK)))
        say("    another listener", _percentiles(_claims(_LISTENERS[1])))
        with psycopg.connect(ground.server.owner_url) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM shared.scheduled_run")
            done = _finish(_LISTENERS[2], rows // 10)
            say(f"    {done} done while somebody reads on", "")
            say("    claims then", _percentiles(_claims(_LISTENERS[2])))
            say("    from the beginning each time", _percentiles(_full(_LISTENERS[2])))


def _fill(line: "psycopg.Connection[tuple[object, ...]]", rows: int) -> None:
    parameters = {"rows": rows, "stuck": _STUCK, "listeners": list(_LISTENERS)}
    line.execute(_EVENTS, parameters)
    line.execute(_PUBLICATIONS, parameters)
    line.execute(_STICK)
    line.execute("VACUUM ANALYZE shared.publication")
    line.execute("ANALYZE shared.event")


def _timed_naive(line: "psycopg.Connection[tuple[object, ...]]") -> float:
    started = time.perf_counter()
    with line.transaction(force_rollback=True):
        line.execute(_NAIVE, [_STUCK])
    return time.perf_counter() - started


def _django(ground: Ground) -> None:
    import django

    os.environ.update(ground.urls, DJANGO_SETTINGS_MODULE="payflow.settings")
    django.setup()


def _claims(listener_id: str, times: int = _CLAIMS) -> list[float]:
    return [_timed_claim(listener_id)[0] for _ in range(times)]


def _claims_until_claimed() -> list[float]:
    """Claim until no follower of a stuck head is met any more."""
    seconds, put_off = [], 1
    while put_off:
        spent, _, put_off = _timed_claim(_STUCK)
        seconds.append(spent)
    return seconds


def _full(listener_id: str) -> list[float]:
    from shared.event_bus._outstanding import Shore

    seconds = []
    for _ in range(10):
        Shore.look_everywhere()
        seconds.append(_timed_claim(listener_id)[0])
    return seconds


def _finish(listener_id: str, count: int) -> int:
    """Claim and remove so many, as if the listener had nothing to do."""
    from django.db import transaction

    from shared.event_bus._queue import Queue, remove

    done = 0
    while done < count:
        claims, _ = Queue.fresh(listener_id).claim()
        with transaction.atomic():
            done += len(remove(claims))
    return done


def _timed_claim(listener_id: str) -> tuple[float, int, int]:
    from shared.event_bus._queue import Queue

    started = time.perf_counter()
    claims, put_off = Queue.fresh(listener_id).claim()
    return time.perf_counter() - started, len(claims), put_off


def _percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"p50 {ordered[len(ordered) // 2] * 1000:.1f}, p99 {p99 * 1000:.1f}"
