"""Errors: one shape for everything that goes wrong."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.views import APIView

from shared.errors import (
    Conflict,
    DomainError,
    Invalid,
    NotAllowed,
    NotFound,
    Rejected,
    Unavailable,
)
from shared.testing.api import payment_body, problem_in, refused
from shared.testing.signing import SigningClient

SECRET = "SELECT secret FROM merchants.api_key"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
ADDRESSES = (
    "health",
    "health/ready",
    "openapi.json",
    "merchants/register",
    "sandbox/signature-check",
)


class CardIsBlue(Conflict):
    """
    The card is blue.

    Only people who read the code see this.
    """


# Views that fail ----------------------------------------------------------------------------------


class Failing(APIView):
    authentication_classes = ()
    permission_classes = ()
    error: Exception = RuntimeError(SECRET)

    def get(self, request: Any) -> HttpResponse:
        raise self.error


def failing_outside_the_framework(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


def lost_connection() -> OperationalError:
    return OperationalError("connection to 10.0.0.7 failed")


urlpatterns = [
    path("api/v1/bug", Failing.as_view()),
    path("api/v1/plain-bug", failing_outside_the_framework),
    path("api/v1/database", Failing.as_view(error=lost_connection())),
    path("api/v1/domain", Failing.as_view(error=CardIsBlue(colour="blue"))),
]
handler500 = "shared.http.problems.server_error"
handler404 = "shared.http.problems.not_found"


def get(address: str) -> Any:
    return Client(raise_request_exception=False).get(f"/api/v1/{address}")


class TestDomainError:
    def test_says_its_status_code_and_first_paragraph(self) -> None:
        error = CardIsBlue()
        assert (error.status, error.code, error.detail) == (
            409,
            "card_is_blue",
            "The card is blue.",
        )

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            (DomainError, 400),
            (Invalid, 400),
            (NotAllowed, 403),
            (NotFound, 404),
            (Conflict, 409),
            (Rejected, 422),
            (Unavailable, 503),
        ],
    )
    def test_has_the_status_of_its_kind(self, kind: type[DomainError], status: int) -> None:
        assert kind.status == status


@pytest.mark.urls(__name__)
class TestUnanticipatedError:
    @pytest.mark.parametrize("address", ["bug", "plain-bug"])
    def test_is_a_problem_that_tells_nothing(self, address: str) -> None:
        answer = get(address)
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = json.loads(answer.content)
        assert problem["code"] == "internal_error"
        assert problem["correlationId"] == answer.headers["X-Correlation-ID"]
        for hidden in ("SELECT", "secret", "Traceback", "RuntimeError", "<html"):
            assert hidden not in answer.content.decode()

    def test_is_logged_with_its_correlation_id(self, caplog: pytest.LogCaptureFixture) -> None:
        answer = get("bug")
        (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert answer.headers["X-Correlation-ID"] in str(line.msg)


@pytest.mark.urls(__name__)
class TestAnticipatedError:
    def test_of_the_database_asks_to_come_again(self) -> None:
        answer = get("database")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert json.loads(answer.content)["code"] == "unavailable"
        assert b"10.0.0.7" not in answer.content

    def test_of_the_domain_may_have_more_members(self) -> None:
        answer = get("domain")
        assert answer.status_code == 409
        assert json.loads(answer.content)["colour"] == "blue"


@pytest.mark.django_db
class TestProblem:
    def test_answers_every_refusal_before_a_view(self) -> None:
        client = Client(raise_request_exception=False)

        def post(**environ: Any) -> Any:
            return client.generic("POST", "/api/v1/payments", **environ)

        refused(client.get("/api/v1/nothing"), 404, "not_found")
        refused(client.get("/nothing"), 404, "not_found")
        stranger = client.get("/api/v1/payments", HTTP_HOST="evil.example")
        refused(stranger, 400, "host_not_served")
        refused(post(HTTP_TRANSFER_ENCODING="chunked"), 411, "length_required")
        refused(post(HTTP_TRANSFER_ENCODING="identity"), 411, "length_required")
        refused(post(data=b"x" * 65_537), 413, "body_too_large")
        for length in ("-1", "1e3", "0x10", "٣", "1,1", "+1", " 1", "nan"):
            refused(post(CONTENT_LENGTH=length), 400, "bad_request")
        for length in ("65537", "1" * 30, "1" * 5000):
            refused(post(CONTENT_LENGTH=length), 413, "body_too_large")

    def test_answers_a_cookie_that_no_table_can_hold(self) -> None:
        cookie = r'payflow_session="\000abcdefghijklmnop"'
        for address in ("/admin/", "/api/v1/health"):
            answer = Client(raise_request_exception=False).get(address, HTTP_COOKIE=cookie)
            refused(answer, 400, "bad_request")

    def test_answers_a_body_that_nobody_reads(self, merchant: SigningClient) -> None:
        for method in ("GET", "OPTIONS"):
            refused(merchant.send(method, "/payments", b"{}"), 400, "bad_request")
        assert merchant.send("HEAD", "/payments", b"{}").status_code == 400

    def test_answers_an_unsigned_request(self) -> None:
        answer = Client().get("/api/v1/payments")
        refused(answer, 401, "invalid_signature")
        assert answer.headers["WWW-Authenticate"] == "Signature"

    def test_answers_every_method_that_an_address_does_not_know(self) -> None:
        """With CSRF checks: a view that forgets to be exempt would answer in HTML."""
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        for address in ADDRESSES:
            for method in METHODS:
                answer = client.generic(method, f"/api/v1/{address}")
                assert answer.status_code < 500, (method, address)
                if method != "HEAD" and answer.status_code >= 400:
                    problem_in(answer)
                assert answer.headers["X-Correlation-ID"]
            refused(client.generic("BREW", f"/api/v1/{address}"), 405, "method_not_allowed")
            refused(client.options(f"/api/v1/{address}"), 405, "method_not_allowed")

    def test_answers_every_method_at_the_documentation(self) -> None:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        for method in METHODS[2:]:
            refused(client.generic(method, "/swagger-ui.html"), 405, "method_not_allowed")

    def test_answers_signed_methods_that_an_address_does_not_know(
        self, merchant: SigningClient
    ) -> None:
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            refused(merchant.send(method, "/payments", b""), 405, "method_not_allowed")
        overriding = merchant.send(
            "POST", "/merchants/me", b"{}", HTTP_X_HTTP_METHOD_OVERRIDE="GET"
        )
        refused(overriding, 405, "method_not_allowed")

    def test_does_not_repeat_what_was_sent(self, merchant: SigningClient) -> None:
        pan = "4111111111111111"
        for answer in (
            merchant.send(pan, "/payments", b""),
            merchant.get(f"/payments?{pan}=1"),
            merchant.get(f"/payments?status={pan}"),
            merchant.get(f"/{pan}"),
            merchant.send("POST", "/payments", b"x", CONTENT_TYPE=f"text/{pan}"),
            merchant.post("/payments", payment_body() | {pan: 1}),
            merchant.post("/payments", payment_body(paymentMethod={"type": pan, "token": "t"})),
            merchant.post("/payments", payment_body(currency=pan)),
            merchant.post("/payments", payment_body(amount=pan)),
            merchant.post("/payments", payment_body(payeeAccountId=pan)),
        ):
            problem_in(answer)
            assert pan not in answer.content.decode()

    def test_names_the_fields_that_were_wrong(self, merchant: SigningClient) -> None:
        answer = merchant.post(
            "/payments",
            payment_body(amount="0", paymentMethod={"type": "CASH", "token": 5}, metadata=[]),
        )
        refused(answer, 400, "validation_failed")
        assert {error["field"] for error in answer.json()["errors"]} == {
            "paymentMethod.type",
            "paymentMethod.token",
            "metadata",
        }

    def test_names_at_most_ten_unknown_fields_if_they_are_short(
        self, merchant: SigningClient
    ) -> None:
        unknown = {f"{number}" + "x" * 100: 1 for number in range(20)} | {"a\nb": 1}
        answer = merchant.post("/payments", payment_body() | unknown)
        refused(answer, 400, "unknown_field")
        fields = [error["field"] for error in answer.json()["errors"]]
        assert len(fields) <= 10
        assert max(map(len, fields)) <= 40

    def test_has_a_correlation_id_of_ours(self) -> None:
        answer = Client().get("/api/v1/nothing", HTTP_X_CORRELATION_ID="mine\r\nX: y")
        assert problem_in(answer)["correlationId"] != "mine\r\nX: y"
        assert len(answer.headers["X-Correlation-ID"]) == 36
