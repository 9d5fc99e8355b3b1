"""Logs: a line per event, for a terminal or as JSON, with its correlation id, redacted."""

import logging.config
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from shared import correlation

_SECRET_NAMES = re.compile(
    r"(?i)secret|password|signature|authorization|api_?key$|^pan$|cvc|token$"
)
# What moves a terminal's cursor, ends a line, or turns the direction of reading.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SECRET_VALUES = re.compile(r"\b[ps]k_(?:test|live)_[A-Za-z0-9_-]{8,}|\bwhsec_[A-Za-z0-9+/=]{8,}")


def configure(*, level: str, as_json: bool) -> None:
    """Send every logger of the process, ours and the libraries', through one chain to stderr."""
    shared_chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_correlation_id,
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared_chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "chain": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared_chain,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.format_exc_info,
                        redact,
                        keep_in_line,
                        renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chain"}},
            "root": {"handlers": ["stderr"], "level": level},
            # What these say repeats what was sent: the path, the Host. A refusal is told by
            # `shared.http.request_log`, a failure of ours by `shared.http.problems`.
            "loggers": {
                "django.request": {"level": "CRITICAL"},
                "django.security": {"level": "CRITICAL"},
                "django.server": {"level": "ERROR"},
                # Names the path that a client has hung up on.
                "waitress": {"level": "ERROR"},
            },
        }
    )


def redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what is named like a secret or looks like one; the last processor before rendering."""
    for name, value in line.items():
        if _SECRET_NAMES.search(name):
            line[name] = "[redacted]"
        elif isinstance(value, str):
            line[name] = _SECRET_VALUES.sub("[redacted]", value)
    return line


def keep_in_line(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Spell control characters out, and indent tracebacks: no text can pass for a line of ours."""
    for name, value in line.items():
        if not isinstance(value, str) or value.isprintable():
            continue
        if name == "exception":
            line[name] = "\n    ".join(map(_spelt_out, value.split("\n")))
        else:
            line[name] = _spelt_out(value)
    return line


def _spelt_out(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def _with_correlation_id(
    _: Any, __: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if story := correlation.current():
        line.setdefault("correlation_id", story)
    return line
