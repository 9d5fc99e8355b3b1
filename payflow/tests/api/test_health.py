"""Alive, and ready for traffic."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

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


@pytest.mark.django_db
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
