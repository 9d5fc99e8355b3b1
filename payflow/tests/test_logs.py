"""No text can pass for a line of the log, or repeat what a request held."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.test import Client

from payflow.logs import keep_in_line

FORGED = "2026-01-01T00:00:00Z [info     ] request status=200"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is written, by the formatter in use."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(h.formatter for h in root.handlers if h.formatter))
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


class TestLines:
    @pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\x1b[2K\r", "\x85", "\u2028", "\x0b"])
    def test_cannot_be_made_up(self, written: io.StringIO, break_: str) -> None:
        text = f"a{break_}{FORGED}"
        structlog.get_logger("test").warning("event", value=text)
        logging.getLogger("test").warning("%s", text)
        logging.getLogger("test").warning("with a list: %s", [text])
        assert len(written.getvalue().splitlines()) == 3
        assert "\x1b" not in written.getvalue()

    def test_cannot_be_made_up_by_an_exception(self, written: io.StringIO) -> None:
        try:
            raise ValueError(f"a\n{FORGED}\x1b[2K")
        except ValueError:
            structlog.get_logger("test").exception("it failed")
        lines = written.getvalue().splitlines()
        assert any(FORGED in line for line in lines)
        assert not any(line.startswith("2026-01-01") for line in lines)
        assert "\x1b" not in written.getvalue()

    def test_keep_what_people_write(self) -> None:
        line: dict[str, Any] = {"event": "Zürich 東京 ✓", "count": 3}
        assert keep_in_line(None, "", dict(line)) == line


class TestDjangosOwn:
    def test_repeat_neither_host_nor_path(self, written: io.StringIO) -> None:
        client = Client(raise_request_exception=False, enforce_csrf_checks=True)
        client.get("/api/v1/payments?q=secret-query", HTTP_HOST="secret-host.example")
        client.get("/secret-path", HTTP_HOST="secret host\n")
        client.post("/admin/secret-path%0aline", {"a": "b"})
        assert "secret" not in written.getvalue()
