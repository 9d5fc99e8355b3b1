"""Alive, and ready for traffic."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payflow.api import checks
from payflow.runtime.ports import free_port
from payflow.tests import brokers
from shared import clock
from shared.testing.api import payment_body, refused, registered_merchant

ALIVE = "liveness Check : Im Alive"


def get(address: str, **headers: str) -> Any:
    client: Any = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.get(f"/api/v1/{address}", **headers)


class TestHealth:
    """Without a database: a test that touched it would fail."""

    def test_is_up(self) -> None:
        answer = get("health")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
        told = answer.json()
        assert (told["status"], told["message"]) == ("UP", ALIVE)
        assert clock.parse(told["timestamp"]) <= clock.now()
        assert told.keys() == {"status", "message", "timestamp", "version"}

    def test_is_text_when_asked_for_text(self) -> None:
        answer = get("health", HTTP_ACCEPT="text/plain")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.content.decode() == ALIVE

    @pytest.mark.parametrize("accept", ["", "*/*", "text/html", "x" * 5000, "\xff", "text/plai"])
    def test_is_json_whatever_else_is_asked_for(self, accept: str) -> None:
        assert get("health", HTTP_ACCEPT=accept).json()["status"] == "UP"

    def test_takes_no_other_method(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            client = Client(enforce_csrf_checks=True)
            refused(client.generic(method, "/api/v1/health"), 405, "method_not_allowed")


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing found before: what one test found is not told to the next."""
    checks.readiness.forget()
    yield
    checks.readiness.forget()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
class TestReady:
    def test_is_ready_when_the_database_answers(self) -> None:
        answer = get("health/ready")
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "READY",
            "checks": {"database": "UP", "dispatcher": "UP", "disk": "UP"},
        }

    def test_reports_a_dispatcher_that_is_behind(self) -> None:
        registered_merchant().post("/payments", payment_body())
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shared.publication SET due_at = now() - interval '1 minute'")
        answer = get("health/ready")
        assert (answer.status_code, answer.json()["checks"]["dispatcher"]) == (200, "DOWN")

    def test_is_not_ready_while_a_migration_is_pending(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM django_migrations WHERE app = 'audit' ORDER BY id DESC")
            (last,) = cursor.fetchone()
            cursor.execute("UPDATE django_migrations SET app = 'x' WHERE id = %s", [last])
        try:
            answer = get("health/ready")
        finally:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE django_migrations SET app = 'audit' WHERE id = %s", [last])
        assert (answer.status_code, answer.json()["status"]) == (503, "NOT_READY")

    def test_is_not_ready_while_the_database_does_not_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection.close()
        with monkeypatch.context() as patch:
            patch.setitem(connection.settings_dict, "PORT", str(free_port()))
            answer = get("health/ready")
        connection.close()
        assert (answer.status_code, answer.json()["status"]) == (503, "NOT_READY")
        told = answer.json()["checks"]
        assert (told["database"], told["dispatcher"], told["disk"]) == ("DOWN", "DOWN", "UP")

    def test_looks_once_for_all_who_ask_within_two_seconds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert checks.KEPT_SECONDS == 2
        monkeypatch.setattr(checks, "KEPT_SECONDS", 600)  # however slow this machine is
        get("health/ready")
        with CaptureQueriesContext(connection) as asked:
            answers = [get("health/ready").json() for _ in range(50)]
        assert len(asked) == 0
        assert answers[0]["status"] == "READY"

    def test_looks_again_after_two_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        get("health/ready")
        monkeypatch.setattr(checks, "KEPT_SECONDS", 0)
        with CaptureQueriesContext(connection) as asked:
            get("health/ready")
        assert len(asked) > 0

    def test_measures_the_disk_of_the_home(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        settings.HOME = tmp_path / "not" / "yet"
        measured: list[Path] = []

        def full(path: Path) -> SimpleNamespace:
            measured.append(path)
            return SimpleNamespace(free=0)

        monkeypatch.setattr("shutil.disk_usage", full)
        assert get("health/ready").json()["checks"]["disk"] == "DOWN"
        assert measured == [tmp_path]


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
class TestReadyOutside:
    """Broker and Redis are reported, never decide, and are never waited for."""

    def test_tells_of_none_that_is_not_configured(self) -> None:
        assert not {"broker", "redis"} & get("health/ready").json()["checks"].keys()

    @pytest.mark.parametrize("broker", brokers.BROKERS)
    def test_tells_that_the_broker_answers(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, broker: str
    ) -> None:
        monkeypatch.setattr(checks, "PATIENCE_SECONDS", 20)  # however slow this machine is
        settings.CELERY_BROKER_URL = brokers.url_of(broker)
        assert get("health/ready").json()["checks"]["broker"] == "UP"

    def test_tells_that_redis_answers(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "PATIENCE_SECONDS", 20)
        settings.REDIS_URL = brokers.url_of("redis")
        assert get("health/ready").json()["checks"]["redis"] == "UP"

    def test_tells_what_is_down_and_is_ready_all_the_same(self, settings: Any) -> None:
        nobody = free_port()
        settings.CELERY_BROKER_URL = f"amqp://x:y@127.0.0.1:{nobody}//"
        settings.REDIS_URL = f"redis://127.0.0.1:{nobody}/0"
        answer = get("health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "READY")
        assert answer.json()["checks"]["broker"] == answer.json()["checks"]["redis"] == "DOWN"

    @pytest.mark.parametrize("scheme", ["amqp", "redis", "pgmq"])
    def test_waits_a_second_for_one_that_is_silent(
        self, settings: Any, silent: int, scheme: str
    ) -> None:
        settings.CELERY_BROKER_URL = f"{scheme}://x:y@127.0.0.1:{silent}/0"
        settings.REDIS_URL = f"redis://127.0.0.1:{silent}/0"
        started = time.monotonic()
        told = get("health/ready").json()["checks"]
        assert time.monotonic() - started < 2 * checks.PATIENCE_SECONDS
        assert told["broker"] == told["redis"] == "DOWN"


class TestKept:
    def test_tells_the_others_at_once_while_one_looks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "KEPT_SECONDS", -1)
        looks, looking, go_on = iter("abc"), threading.Event(), threading.Event()

        def look() -> dict[str, str]:
            looking.set()
            assert go_on.wait(10)
            return {"database": next(looks)}

        kept = checks.Kept(look)
        go_on.set()
        kept.findings()
        go_on.clear()
        looking.clear()
        one = threading.Thread(target=kept.findings)
        one.start()
        assert looking.wait(10)
        assert kept.findings() == {"database": "a"}  # and did not wait for `go_on`
        go_on.set()
        one.join()
        assert kept._found == {"database": "b"}

    def test_tells_of_no_more_than_was_found_lately_while_one_look_hangs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "KEPT_SECONDS", -1)
        monkeypatch.setattr(checks, "LOOK_SECONDS", 0)
        looking, go_on = threading.Barrier(2), threading.Barrier(2)

        def look() -> dict[str, str]:
            looking.wait(10)
            go_on.wait(10)
            return {"database": "UP", "disk": "UP"}

        kept = checks.Kept(look)
        monkeypatch.setattr(checks, "readiness", kept)
        for believed_seconds, status, state in (
            (-1, 503, None),
            (600, 200, "UP"),
            (-1, 503, "DOWN"),
        ):
            monkeypatch.setattr(checks, "BELIEVED_SECONDS", believed_seconds)
            one = threading.Thread(target=kept.findings)
            one.start()
            looking.wait(10)
            answer = get("health/ready")
            go_on.wait(10)
            one.join()
            assert (answer.status_code, answer.json()["checks"].get("disk")) == (status, state)

    def test_others_wait_a_moment_for_a_look_when_nothing_is_believed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checks, "LOOK_SECONDS", 10)
        looking, go_on = threading.Barrier(2), threading.Event()

        def look() -> dict[str, str]:
            looking.wait(10)
            assert go_on.wait(10)
            return {"database": "UP"}

        class Watched:
            """A lock that lets the look go on as soon as somebody waits for it."""

            def __init__(self) -> None:
                self._lock = threading.Lock()
                self.release = self._lock.release

            def acquire(self, *, timeout: float) -> bool:
                if self._lock.locked():
                    go_on.set()
                return self._lock.acquire(timeout=timeout)

        kept = checks.Kept(look)
        monkeypatch.setattr(kept, "_looking", Watched())
        one = threading.Thread(target=kept.findings)
        one.start()
        looking.wait(10)
        assert kept.findings() == {"database": "UP"}
        one.join()

    def test_an_attempt_that_hangs_is_not_joined_by_another(self) -> None:
        hanging = threading.Event()
        tries: list[int] = []

        def knock() -> None:
            tries.append(1)
            hanging.wait(10)

        place = checks.Outside(knock)
        for _ in range(3):
            place.start()
            assert place.state(time.monotonic()) == "DOWN"
        assert tries == [1]
        hanging.set()
        assert place.state(time.monotonic() + 10) == "UP"


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh")
class TestProbes:
    """They answer under any host, and nothing of the answer depends on it."""

    @pytest.mark.parametrize("address", ["health", "health/ready"])
    def test_answer_whatever_the_host(self, address: str, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["pay.example.com"]
        answers = [
            get(address, HTTP_HOST=host, HTTP_X_FORWARDED_HOST=host, SERVER_NAME=host)
            for host in ("pay.example.com", "127.0.0.1:8000", "evil.example", "a b", "")
        ]
        assert {answer.status_code for answer in answers} == {200}
        told = [(answer.json(), dict(answer.headers)) for answer in answers]
        for body, headers in told:
            body.pop("timestamp", "")
            del headers["X-Correlation-ID"]
            headers.pop("Content-Length")  # a timestamp without microseconds is shorter
        assert [one == told[0] for one in told] == [True] * 5
        assert "evil" not in json.dumps(told)

    def test_nothing_else_does(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["pay.example.com"]
        for address in ("openapi.json", "payments", "health/", "health/x", "nothing", "Health"):
            refused(get(address, HTTP_HOST="127.0.0.1"), 400, "host_not_served")
        for address in ("/admin/", "/metrics", "/swagger-ui.html", "/"):
            client = Client(raise_request_exception=False)
            refused(client.get(address, HTTP_HOST="127.0.0.1"), 400, "host_not_served")
