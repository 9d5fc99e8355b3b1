"""What Prometheus is told: by whom, in which form, and at what price."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from payflow import scraping
from payflow.runtime.home import PROJECT
from payflow.runtime.ports import free_port
from payflow.tests.processes import database_urls, wait_until, worker
from shared.event_bus import _metrics, drain, measuring
from shared.models import Publication
from shared.testing.api import payment_body, problem_in, registered_merchant

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(**headers: str) -> Samples:
    client: Any = Client(raise_request_exception=False)
    answer = client.get("/metrics", **headers)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.content.decode())


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.mark.django_db
class TestMetrics:
    def test_says_how_the_registry_stands(self) -> None:
        registered_merchant().post("/payments", payment_body())

        told = scraped()

        assert value(told, "payflow_listener_outstanding", listener="fraud.assess_payment") == 1
        assert value(told, "payflow_listener_parked", listener="fraud.assess_payment") == 0
        assert value(told, "payflow_listener_outstanding", listener="ledger.post_movements") == 0
        assert value(told, "payflow_intent_outstanding", intent="payments.operation") == 0
        assert value(told, "payflow_database_dead_publications") >= 0
        assert value(told, "payflow_job_late", job="ledger.verify") == 0
        for part in ("listeners", "intents", "database", "jobs"):
            assert value(told, "payflow_scrape_answered", part=part) == 1

    def test_shows_a_parked_publication(self) -> None:
        registered_merchant().post("/payments", payment_body())
        parked = Publication.objects.filter(listener_id="fraud.assess_payment")
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.publication SET due_at = NULL, attempts = 5, failures = 5,"
                " parked_at = now() - interval '1 hour' WHERE id = %s",
                [parked.get().pk],
            )

        told = scraped()

        assert value(told, "payflow_listener_parked", listener="fraud.assess_payment") == 1
        age = value(told, "payflow_listener_parked_seconds", listener="fraud.assess_payment")
        assert 3600 <= age < 3660

    def test_shows_how_long_the_oldest_has_waited_and_how_often_it_was_claimed(self) -> None:
        registered_merchant().post("/payments", payment_body())
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.publication SET attempts = 3,"
                " created_at = now() - interval '5 minutes' WHERE listener_id = %s",
                ["fraud.assess_payment"],
            )

        told = scraped()

        labels = {"listener": "fraud.assess_payment"}
        assert 300 <= value(told, "payflow_listener_oldest_seconds", **labels) < 330
        assert value(told, "payflow_listener_oldest_claims", **labels) == 3
        assert value(told, "payflow_listener_claims", **labels) == 3

    def test_shows_publications_of_a_listener_that_nobody_knows_any_more(self) -> None:
        registered_merchant()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shared.publication SET listener_id = 'fraud.of_old'"
                " WHERE listener_id = 'audit.record_event'"
            )
        assert value(scraped(), "payflow_listener_outstanding", listener="fraud.of_old") == 1

    def test_counts_requests_by_route_and_never_by_id(self) -> None:
        merchant = registered_merchant()
        labels = {"route": "/api/v1/payments/<id:payment_id>", "method": "GET", "status": "404"}
        unknown = "/payments/01890a5d-ac96-774b-bcce-b302099a8057"
        merchant.get(unknown)
        before = value(scraped(), "payflow_http_requests_total", **labels)

        merchant.get(unknown)

        told = scraped()
        assert value(told, "payflow_http_requests_total", **labels) == before + 1
        assert not [labels for _, labels in told if "01890a5d" in str(labels)]

    def test_gives_invented_methods_and_addresses_one_label(self) -> None:
        for number in range(3):
            Client().generic(f"BREW{number}", "/api/v1/health")
            Client().get(f"/no/such/address/{number}")
        labels = [dict(labels) for _, labels in scraped()]
        assert {each["method"] for each in labels if "method" in each} >= {"GET", "other"}
        assert not [each for each in labels if "BREW" in str(each) or "no/such" in str(each)]

    def test_tells_no_merchant_payment_or_secret(self) -> None:
        merchant = registered_merchant("Acme Secret Corp")
        payment_id = merchant.post("/payments", payment_body()).json()["paymentId"]
        drain()
        text = Client().get("/metrics").content.decode()
        for secret in (merchant.merchant_id, merchant.api_key, payment_id, "Acme"):
            assert secret not in text


@pytest.mark.django_db
class TestPrice:
    """However much is outstanding: as many statements, no count beyond the limit, none endless."""

    def test_asks_as_many_statements_of_a_full_registry_as_of_an_empty_one(self) -> None:
        scraped()
        empty = statements_of_a_scrape()
        fill(200_000)
        full = statements_of_a_scrape()

        told = scraped()

        assert len(full) == len(empty)
        labels = {"listener": "ledger.post_movements"}
        assert value(told, "payflow_listener_outstanding", **labels) == measuring.COUNTED_AT_MOST
        assert value(told, "payflow_listener_oldest_seconds", **labels) >= 60

    def test_reads_no_more_of_the_registry_than_it_counts(self) -> None:
        fill(200_000)
        with connection.cursor() as cursor:
            ids = ["fraud.assess_payment", "ledger.post_movements"]
            cursor.execute(f"EXPLAIN {measuring._LISTENERS}", [ids])
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan on publication" not in plan, plan

    def test_gives_up_a_part_that_does_not_answer_and_tells_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measuring, "_LISTENERS", "SELECT pg_sleep(%s::text::integer)")
        monkeypatch.setattr(measuring, "_STATEMENT_MS", 100)
        monkeypatch.setattr(measuring, "listeners", {30: None})
        monkeypatch.setattr(measuring, "_asked", _flat(measuring._asked))

        told = scraped()

        assert value(told, "payflow_scrape_answered", part="listeners") == 0
        assert value(told, "payflow_scrape_answered", part="intents") == 1


def _flat(asked: Callable[..., Any]) -> Callable[..., Any]:
    return lambda statement, given: asked(statement, given and [given[0][0]])


def statements_of_a_scrape() -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        scraped()
    return [query["sql"] for query in captured.captured_queries]


def fill(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shared.publication (event_id, listener_id, correlation_id, due_at,"
            " created_at) SELECT n, 'ledger.post_movements', gen_random_uuid(),"
            " now() - interval '1 minute', now() - interval '1 minute'"
            " FROM generate_series(1, %s) AS n",
            [rows],
        )
        cursor.execute("ANALYZE shared.publication")


class TestWithoutDatabase:
    """A test that touched the database would fail; here it cannot be reached at all."""

    def test_tells_what_processes_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*args: object) -> Any:
            raise DatabaseError("gone")

        monkeypatch.setattr(measuring, "_asked", unreachable)
        monkeypatch.setattr("shared.event_bus.standing._last_run", unreachable)
        Client().get("/api/v1/health")

        told = scraped()

        assert value(told, "payflow_scrape_answered", part="database") == 0
        assert [name for name, _ in told if name == "payflow_http_requests_total"]


@pytest.mark.django_db
class TestDocumentation:
    @pytest.mark.parametrize("name", ["metrics.md", "prometheus-alerts.yml"])
    def test_names_only_metrics_that_exist(self, name: str) -> None:
        _metrics.ran("audit.record_event", batch=1, seconds=0.1, ages=[0.1])
        _metrics.called("payments.operation", seconds=0.1)
        for count in (_metrics.failed, _metrics.parked, _metrics.put_off, _metrics.rang):
            count("audit.record_event")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO shared.scheduled_run (job, scheduled_at)"
                " VALUES ('ledger.verify', now())"
            )

        told = {re.sub("_(bucket|sum|count)$", "", name) for name, _ in scraped()}

        named = set(re.findall(r"\bpayflow_[a-z_]*[a-z]", (PROJECT / "docs" / name).read_text()))
        assert len(named) > 5
        assert {re.sub("_bucket$", "", metric) for metric in named} - told == set()


class TestDoor:
    @pytest.fixture
    def token(self, settings: Any) -> str:
        settings.METRICS_TOKEN = "let-me-in"
        return "let-me-in"

    @pytest.mark.django_db
    def test_lets_in_who_knows_the_token(self, token: str) -> None:
        assert scraped(HTTP_AUTHORIZATION=f"Bearer {token}")

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer let-me-i", "Basic let-me-in", "\xff"])
    def test_refuses_everybody_else(self, token: str, given: str) -> None:
        answer = Client().get("/metrics", HTTP_AUTHORIZATION=given)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert problem_in(answer)["code"] == "metrics_token_required"

    @pytest.mark.parametrize("given", ["", "Bearer ", "Bearer let-me-in"])
    def test_is_closed_in_production_without_a_token(self, settings: Any, given: str) -> None:
        settings.IS_PRODUCTION = True
        answer = Client().get("/metrics", HTTP_AUTHORIZATION=given)
        assert answer.status_code == 404
        assert problem_in(answer)["code"] == "not_found"

    @pytest.mark.django_db
    @pytest.mark.parametrize("address", ["192.0.2.1", "", "nonsense", "2001:db8::1"])
    def test_is_open_to_this_machine_alone_without_a_token(self, address: str) -> None:
        assert Client().get("/metrics", REMOTE_ADDR=address).status_code == 401
        for ours in ("127.0.0.1", "::1"):
            assert Client().get("/metrics", REMOTE_ADDR=ours).status_code == 200

    def test_of_a_dispatcher_is_the_same(self, settings: Any, token: str) -> None:
        def answered(given: str) -> str:
            said: list[str] = []
            environ = {"HTTP_AUTHORIZATION": given, "REMOTE_ADDR": "127.0.0.1"}
            guarded = scraping.guarded(lambda *_: [b"told"])
            answer = b"".join(guarded(environ, lambda status, headers: said.append(status)))
            return said[0] if said else answer.decode()

        assert answered(f"Bearer {token}") == "told"
        assert answered("Bearer x") == "401 Unauthorized"
        settings.METRICS_TOKEN = ""
        assert answered("") == "told"
        settings.IS_PRODUCTION = True
        assert answered("") == "404 Not Found"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
    def test_takes_no_other_method(self, method: str) -> None:
        assert Client().generic(method, "/metrics").status_code == 405


COUNTING = """
import django; django.setup()
from shared.event_bus import _metrics
for _ in range({times}):
    _metrics.ran("ledger.post_movements", batch=10, seconds=0.02, ages=[0.1] * 10)
_metrics.failed("ledger.post_movements")
print("counted", flush=True)
import sys; sys.stdin.read()
"""


def asked(port: str) -> bytes:
    """What is told at a port; nothing while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            told: bytes = answer.read()
    except OSError:
        return b""
    return told


READING = """
import django; django.setup()
from prometheus_client import generate_latest
from shared import metrics
print(generate_latest(metrics.counted()).decode())
"""


@pytest.mark.xdist_group("processes")
class TestProcesses:
    @pytest.fixture
    def python(self, tmp_path: Path) -> Callable[[str], "subprocess.Popen[str]"]:
        variables = {**os.environ, "PAYFLOW_METRICS_DIR": str(tmp_path / "metrics")}

        def start(code: str) -> "subprocess.Popen[str]":
            return subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=PROJECT,
                env=variables,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

        return start

    def test_add_up_also_what_dead_ones_counted(
        self, python: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path
    ) -> None:
        labels = {"listener": "ledger.post_movements"}
        first, second = python(COUNTING.format(times=2)), python(COUNTING.format(times=3))
        for process in (first, second):
            assert process.stdout is not None and process.stdout.readline() == "counted\n"

        first.kill()
        first.communicate(timeout=60)
        told = parsed(python(READING).communicate(timeout=60)[0])
        assert value(told, "payflow_listener_run_seconds_count", **labels) == 5
        assert value(told, "payflow_listener_latency_seconds_count", **labels) == 50
        assert value(told, "payflow_listener_batch_events_sum", **labels) == 50
        assert value(told, "payflow_work_failures_total", work="ledger.post_movements") == 2

        # One more process, in the files of the one that was killed.
        python(COUNTING.format(times=1)).communicate(timeout=60)
        second.communicate(timeout=60)
        told = parsed(python(READING).communicate(timeout=60)[0])
        assert value(told, "payflow_listener_run_seconds_count", **labels) == 6
        files = {path.name for path in (tmp_path / "metrics").glob("*.db")}
        assert files == {f"{kind}_{slot}.db" for kind in ("counter", "histogram") for slot in "01"}

    @pytest.mark.django_db
    def test_of_a_worker_alone_are_served_at_its_own_port(self, tmp_path: Path) -> None:
        port = str(free_port())
        with (
            worker(tmp_path, PAYFLOW_METRICS_PORT=port) as first,
            worker(tmp_path, name="other", PAYFLOW_METRICS_PORT=port) as second,
        ):
            first.start()
            # It is ready a moment before it serves.
            wait_until(lambda: b"payflow_intent_run_seconds" in asked(port), first.output)
            second.start()  # and goes on without the port
            wait_until(lambda: "metrics are not served" in second.output(), second.output)
            assert second.exit_code is None

    @pytest.mark.django_db
    def test_of_a_dispatcher_alone_are_served_at_its_own_port(self) -> None:
        port = free_port()
        command = [sys.executable, "manage.py", "dispatch", "--metrics-port", str(port)]
        dispatcher = subprocess.Popen(
            command, cwd=PROJECT, env={**os.environ, **database_urls()}, text=True, stdout=-1
        )
        try:
            assert dispatcher.stdout is not None
            assert "dispatcher ready" in dispatcher.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                told = answer.read().decode()
        finally:
            dispatcher.send_signal(signal.SIGTERM)
            dispatcher.communicate(timeout=30)
        assert "# TYPE payflow_listener_latency_seconds histogram" in told
        assert dispatcher.returncode == 0

    @pytest.mark.django_db
    def test_that_cannot_be_served_stop_the_start_with_a_reason(self) -> None:
        with pytest.raises(CommandError, match=r"cannot be served at 127\.0\.0\.1:99999"):
            call_command("dispatch", metrics_port=99999)
