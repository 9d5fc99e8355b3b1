"""What each part is told, and what of its words the screen shows."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from payflow.runtime.home import PROJECT
from payflow.runtime.parts import ENSURE_ADMIN, MIGRATE, SECRETS, Part, all_parts, sandbox_part

PARTS = {
    part.name: part
    for part in (
        *all_parts("http://127.0.0.1:8000", Path("beat")),
        sandbox_part(8001, Path("book")),
        MIGRATE,
        ENSURE_ADMIN,
    )
}
GIVEN = {name: f"secret of {name}" for name in SECRETS} | {
    "PATH": "/bin",
    "LC_ALL": "C",
    "PAYFLOW_LOG_LEVEL": "INFO",
    "AWS_SECRET_ACCESS_KEY": "somebody else's",
}


class TestSecrets:
    def test_are_all_that_the_example_has(self) -> None:
        example = (PROJECT / ".env.example").read_text()
        named = set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE))
        secret = re.compile(
            r"SECRET|PASSWORD|TOKEN$|KEY|_RING|DATABASE_(OWNER_)?URL|BROKER_URL|REDIS_URL|EVENTS_(URL|OPT)"
        )
        of_compose = {f"{n}_PASSWORD" for n in ("POSTGRES", "OWNER", "APP", "RABBITMQ")}
        assert {name for name in named if secret.search(name)} - of_compose == SECRETS

    @pytest.mark.parametrize("name", sorted(PARTS))
    def test_of_a_part_are_those_it_names(self, name: str) -> None:
        part = PARTS[name]
        told = part.chosen_from(GIVEN)
        if part.reads is None:
            assert told.keys() & SECRETS == part.secrets
            assert told["PAYFLOW_LOG_LEVEL"] == "INFO"
        else:
            assert told.keys() == {"PATH", "LC_ALL", "PAYFLOW_SANDBOX_SECRET"}

    def test_that_open_everything_are_for_one_step_only(self) -> None:
        def who(secret: str) -> set[str]:
            return {name for name, part in PARTS.items() if secret in part.chosen_from(GIVEN)}

        assert who("DATABASE_OWNER_URL") == {"migrate", "admin"}
        assert who("PAYFLOW_ADMIN_PASSWORD") == {"admin"}
        assert who("EMAIL_HOST_PASSWORD") == {"worker"}
        assert who("PAYFLOW_METRICS_TOKEN") == {"web", "dispatcher", "worker"}
        assert who("PAYFLOW_STRIPE_SECRET_KEY") == {"web", "dispatcher", "worker"}

    def test_of_an_unknown_part_are_none(self) -> None:
        assert not Part("x", ("true",)).chosen_from(GIVEN).keys() & SECRETS


class TestScreen:
    """One line per request goes to the log alone; what failed goes to the screen, too."""

    @pytest.mark.parametrize("renderer", ["console", "json"])
    @pytest.mark.parametrize(("level", "is_hidden"), [("info", True), ("warning", False)])
    def test_shows_requests_that_failed(self, renderer: str, level: str, is_hidden: bool) -> None:
        line = formatted(renderer, level, "request")
        assert any(text in line for text in PARTS["web"].hidden) == is_hidden, line

    @pytest.mark.parametrize("renderer", ["console", "json"])
    def test_shows_everything_else(self, renderer: str) -> None:
        line = formatted(renderer, "info", "request budget is used up")
        assert not any(text in line for text in PARTS["web"].hidden), line


def formatted(renderer: str, level: str, event: str) -> str:
    """A line as `payflow.logs` writes it, of either kind."""
    chain: Any = next(
        h.formatter for h in logging.getLogger().handlers if "Processor" in repr(h.formatter)
    )
    last: Any = {
        "console": structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        "json": structlog.processors.JSONRenderer(),
    }[renderer]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[*chain.processors[:-1], last])
    )
    logger = logging.getLogger("test_of_the_screen")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    getattr(structlog.get_logger("test_of_the_screen"), level)(
        event, correlation_id="01a2", method="GET", status=200
    )
    logger.removeHandler(handler)
    return written.getvalue()
