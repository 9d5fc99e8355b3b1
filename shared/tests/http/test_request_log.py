"""The line that every request leaves, and what must never be in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from shared.http import request_log
from shared.testing.api import payment_body
from shared.testing.signing import SigningClient

SECRET = "never-in-a-log"


def broken(request: HttpRequest, token: str) -> HttpResponse:
    raise RuntimeError("no such luck")


urlpatterns = [path("broken/<str:token>", broken)]
handler500 = "shared.http.problems.server_error"


class Lines:
    """Lines about requests, as they are written, of every level."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream

    def all(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == request_log.EVENT]

    def only(self) -> dict[str, Any]:
        (line,) = self.all()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    stream, root = io.StringIO(), logging.getLogger()
    chain: Any = next(h.formatter for h in root.handlers if "Processor" in repr(h.formatter))
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*chain.processors[:-1], structlog.processors.JSONRenderer()],
            foreign_pre_chain=chain.foreign_pre_chain,
        )
    )
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield Lines(stream)
    root.setLevel(level)
    root.removeHandler(handler)


def client() -> Any:
    return Client(raise_request_exception=False)


@pytest.mark.django_db
class TestLine:
    def test_tells_route_status_merchant_time_and_story(
        self, lines: Lines, merchant: SigningClient
    ) -> None:
        lines.stream.truncate(0)
        lines.stream.seek(0)
        answer = merchant.post("/payments", payment_body())
        line = lines.only()
        assert line["level"] == "info"
        assert (line["method"], line["route"], line["status"]) == ("POST", "/api/v1/payments", 202)
        assert line["merchant_id"] == str(merchant.merchant_id)
        assert line["duration_ms"] > 0
        assert line["correlation_id"] == answer.headers["X-Correlation-ID"]
        assert line["correlation_id"] == answer.json()["correlationId"]
        assert "code" not in line

    def test_of_every_refusal_is_found_by_its_correlation_id(
        self, lines: Lines, merchant: SigningClient
    ) -> None:
        refusals = [
            client().get("/api/v1/nothing"),
            client().put("/api/v1/payments"),
            client().get("/api/v1/payments"),
            client().get("/api/v1/payments", HTTP_HOST="evil.example"),
            client().generic("POST", "/api/v1/payments", HTTP_TRANSFER_ENCODING="chunked"),
            client().generic("POST", "/api/v1/payments", data=b"x" * 65_537),
            merchant.post("/payments", payment_body(amount="nothing")),
            merchant.get("/payments/0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b11"),
        ]
        for answer in refusals:
            told = answer.json()
            (line,) = [one for one in lines.all() if one["correlation_id"] == told["correlationId"]]
            assert (line["status"], line["code"]) == (answer.status_code, told["code"])
            assert line["level"] == "info"

    def test_of_a_stored_refusal_has_its_code(self, lines: Lines) -> None:
        body = HttpResponse(
            b'{"code": "processor_declined"}', status=422, content_type="application/problem+json"
        )
        request_log.write(HttpRequest(), body, method="POST", seconds=0.001)
        assert lines.only()["code"] == "processor_declined"

    def test_repeats_nothing_that_was_sent(self, lines: Lines, merchant: SigningClient) -> None:
        client().get(f"/api/v1/tokens/{SECRET}?q={SECRET}", HTTP_X_SIGNATURE=SECRET)
        client().get(f"/{SECRET}?{SECRET}", HTTP_HOST=f"{SECRET}.example")
        client().get(f"/admin/{SECRET}", HTTP_COOKIE=f"payflow_session={SECRET}")
        client().generic(SECRET, "/api/v1/payments", data=SECRET.encode())
        client().post("/admin/login/", {"username": SECRET, "password": SECRET})
        merchant.post("/payments", payment_body(description=SECRET))
        assert len(lines.all()) >= 6
        assert SECRET not in lines.stream.getvalue()

    def test_of_probes_and_files_is_for_debugging(self, lines: Lines) -> None:
        for address in ("/api/v1/health", "/api/v1/health/ready", "/metrics"):
            client().get(address)
        client().get("/static/payflow/admin.css").close()
        assert {line["level"] for line in lines.all()} == {"debug"}

    def test_is_left_out_when_nobody_wants_it(self, lines: Lines, settings: Any) -> None:
        settings.ACCESS_LOG = False
        client().get("/api/v1/payments")
        assert lines.all() == []

    def test_does_not_ask_for_the_user_of_a_session(
        self, lines: Lines, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            client().get("/api/v1/openapi.json", HTTP_COOKIE="payflow_session=abc")
        assert lines.only()["status"] == 200


@pytest.mark.urls(__name__)
class TestFailure:
    def test_outside_of_our_views_leaves_its_traceback_and_a_line(self, lines: Lines) -> None:
        answer = client().get(f"/broken/{SECRET}?{SECRET}")
        line = lines.only()
        assert (line["status"], line["code"], line["level"]) == (500, "internal_error", "warning")
        assert line["route"] == "/broken/<str:token>"
        assert line["correlation_id"] == answer.json()["correlationId"]
        written = lines.stream.getvalue()
        assert "RuntimeError: no such luck" in written
        assert SECRET not in written
