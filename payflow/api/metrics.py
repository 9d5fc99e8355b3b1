"""`GET /metrics`: what processes counted and how the registry stands, in Prometheus' text form."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.views import APIView

from payflow.scraping import Access, access_of
from shared import clock, metrics
from shared.event_bus import measuring, registered, standing
from shared.event_bus.measuring import WorkFigures
from shared.http.problems import problem_response
from shared.http.throttling import address_of

log = structlog.get_logger(__name__)

_WORK = {
    "outstanding": "Rows that are neither done nor given up; counted up to 10,000",
    "oldest_seconds": "How long the one that waited longest could have been taken by a worker",
    "oldest_claims": "How often that one was claimed",
    "claimed": "Rows that were claimed before: they failed, or are being worked on",
    "claims": "Claims of these rows together",
    "parked": "Rows that wait for an operator; counted up to 10,000",
    "parked_seconds": "How long the first of them has waited",
}
_DATABASE = {
    "oldest_transaction_seconds": "Age of the oldest transaction that this role may see",
    "horizon_transactions": "Transactions since the oldest that somebody may still look back to",
    "dead_publications": "Dead rows of shared.publication that vacuum could not or did not remove",
    "live_publications": "Rows of shared.publication, as PostgreSQL estimates them",
    "dispatchers": "Dispatchers that listen for the doorbell",
}


class Metrics(APIView):
    """Metrics, for whoever may have them (see `payflow.scraping`)."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Tell all that can be found out now."""
        given = request.headers.get("Authorization", "")
        access = access_of(given, address_of(request._request))
        return _ANSWERS[access]()


def _refused() -> HttpResponse:
    words = "Metrics are told for a bearer token only."
    answer = problem_response(401, "metrics_token_required", words)
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _closed() -> HttpResponse:
    return problem_response(404, "not_found", "There is nothing at this address.")


def _told() -> HttpResponse:
    asked_now = CollectorRegistry()
    asked_now.register(FromDatabase())
    text = generate_latest(metrics.counted()) + generate_latest(asked_now)
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


_ANSWERS = {Access.GRANTED: _told, Access.REFUSED: _refused, Access.CLOSED: _closed}


class FromDatabase(Collector):
    """What the database says at this moment; a part it does not answer for is told as such."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask part by part."""
        answered = _gauge("payflow_scrape_answered", "Whether the database answered", ["part"])
        parts: dict[str, Callable[[], Iterable[GaugeMetricFamily]]] = {
            "listeners": lambda: _work("listener", measuring.measure_listeners()),
            "intents": _intents,
            "database": _database,
            "jobs": _jobs,
        }
        for name, measure in parts.items():
            found = _answer_of(name, measure)
            answered.add_metric([name], int(found is not None))
            yield from found or ()
        yield answered


def _answer_of(
    name: str, measure: Callable[[], Iterable[GaugeMetricFamily]]
) -> list[GaugeMetricFamily] | None:
    try:
        return list(measure())
    except DatabaseError as error:
        connection.close_if_unusable_or_obsolete()
        log.warning("not measured", part=name, reason=str(error).strip())
        return None


def _intents() -> Iterator[GaugeMetricFamily]:
    yield from _work("intent", map(measuring.measure_intent, registered.all_intents()))


def _work(kind: str, figures: Iterable[WorkFigures]) -> Iterator[GaugeMetricFamily]:
    rows = list(figures)
    for field, text in _WORK.items():
        gauge = _gauge(f"payflow_{kind}_{field}", text, [kind])
        for row in rows:
            gauge.add_metric([row.name], getattr(row, field))
        yield gauge


def _database() -> Iterator[GaugeMetricFamily]:
    figures = measuring.measure_database()
    for field in fields(figures):
        gauge = _gauge(f"payflow_database_{field.name}", _DATABASE[field.name], [])
        gauge.add_metric([], getattr(figures, field.name) or 0)
        yield gauge


def _jobs() -> Iterator[GaugeMetricFamily]:
    last = _gauge("payflow_job_last_slot_timestamp_seconds", "The last slot that ran", ["job"])
    late = _gauge("payflow_job_late", "Whether a slot passed without a run", ["job"])
    for run in standing.last_runs(clock.now()):
        late.add_metric([run.job], int(run.is_late))
        if run.scheduled_at:
            last.add_metric([run.job], run.scheduled_at.timestamp())
    yield from (last, late)


def _gauge(name: str, text: str, labels: Sequence[str]) -> Any:
    return GaugeMetricFamily(name, text, labels=labels)
