"""Content types that break Django before any handler runs."""

import io
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.wsgi import get_wsgi_application
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.http.charset import Application, Utf8Only

HOSTILE = [
    "application/json; charset=hex",
    "application/json; charset=undefined",
    "application/json; charset=unicode_escape",
    "application/json; charset=utf-16",
    "application/json; charset=punycode",
    "application/json; charset=",
    "application/json; charset*=bogus''x",
    "application/json; x*=bogus''x",
    'application/json; charset="\\"',
    "application/json; charset=utf-8; charset=hex",
]


def status_of(application: Application, content_type: str, method: str = "GET") -> str:
    environ: dict[str, Any] = {
        "PATH_INFO": "/api/v1/payments",
        "QUERY_STRING": "status=%5Cud800%5C0",
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": content_type,
        "HTTP_HOST": "localhost",
        "wsgi.input": io.BytesIO(),
    }
    setup_testing_defaults(environ)
    said = []

    def start_response(
        status: str, headers: list[tuple[str, str]], *more: object
    ) -> Callable[..., Any]:
        said.append(status)
        return lambda data: None

    b"".join(application(environ, start_response))
    return str(said[0])


@pytest.mark.django_db
class TestUtf8Only:
    def test_lets_no_charset_break_a_request(self) -> None:
        application = Utf8Only(get_wsgi_application())
        for content_type in HOSTILE:
            assert status_of(application, content_type).startswith("401"), content_type

    def test_is_needed(self) -> None:
        """The naive twin: Django alone raises out of the application."""
        for content_type in HOSTILE[:2]:
            with pytest.raises((LookupError, ValueError)):
                status_of(get_wsgi_application(), content_type)


class TestContentType:
    def passed_on(self, content_type: str) -> str:
        environ = {"CONTENT_TYPE": content_type}
        Utf8Only(lambda environ, start_response: [])(environ, lambda: None)
        return environ["CONTENT_TYPE"]

    @pytest.mark.parametrize(
        "content_type",
        [
            "",
            "application/json",
            "application/json; charset=UTF-8",
            "multipart/form-data; boundary=x",
        ],
    )
    def test_in_utf8_passes_as_it_is(self, content_type: str) -> None:
        assert self.passed_on(content_type) == content_type

    @pytest.mark.parametrize("content_type", HOSTILE)
    def test_in_anything_else_is_blanked(self, content_type: str) -> None:
        assert self.passed_on(content_type) == ""

    @settings(max_examples=300)
    @given(
        st.text(st.sampled_from("abcuthxf-*=;'\"% 8016\\é/"), max_size=40).map(
            "application/json; charset".__add__
        )
        | st.text(st.characters(max_codepoint=255), max_size=60)
    )
    def test_is_read_or_blanked_but_never_breaks(self, content_type: str) -> None:
        assert self.passed_on(content_type) in ("", content_type)
