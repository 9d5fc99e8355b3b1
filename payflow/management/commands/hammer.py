"""`manage.py hammer`: races for money on fresh payments, with the acquirer's book as the judge."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow.client import Client
from payflow.runtime import variables
from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.runtime.errors import CannotStart
from payflow.runtime.hammer import Hammer
from payflow.runtime.hammer.client import PATIENCE, RacingMerchant, SandboxControl
from payflow.runtime.scratch import PlatformDidNotStart, platform, scratch_home

_IMBALANCE = """
SELECT format('trial balance of %s is %s', currency, sum(balance_minor))
FROM ledger.account GROUP BY currency HAVING sum(balance_minor) <> 0
"""
_WEB_WORKERS = "2"


class Command(BaseCommand):
    """
    Runs captures, voids, refunds and expiries against each other; exits with 1 if anything gave.

    Without --url it starts a PayFlow of its own with two web processes. With --url it hammers a
    running one, whose sandbox it needs (PAYFLOW_SANDBOX_URL, PAYFLOW_SANDBOX_SECRET), and looks at
    its trial balance if DATABASE_URL is set. Never point it at a production system.
    """

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How much, and against what."""
        parser.add_argument("--rounds", type=int, default=600)
        parser.add_argument("--lanes", type=int, default=16, help="races at a time")
        parser.add_argument("--url", default="", help="such as http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        """Hammer, print what was tried and what held."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            with _target(options["url"]) as (url, sandbox, database):
                hammer = _hammer(url, sandbox, database, lanes=options["lanes"])
                verdict = hammer.strike(options["rounds"], lanes=options["lanes"])
        except PlatformDidNotStart as error:
            raise CommandError(f"PayFlow did not start. Its last lines:\n{error}") from None
        self.stdout.write(verdict.table())
        if not verdict.held:
            raise CommandError("It did not hold.")
        self.stdout.write("0 over-captures, 0 over-refunds, 0 double releases: it held.")


Target = tuple[str, SandboxControl, str]


@contextmanager
def _target(url: str) -> Iterator[Target]:
    if url:
        sandbox_url = variables.text("PAYFLOW_SANDBOX_URL")
        if not sandbox_url:
            raise CommandError("Set PAYFLOW_SANDBOX_URL: its book is the judge.")
        secret = variables.text("PAYFLOW_SANDBOX_SECRET")
        yield url, SandboxControl(sandbox_url, secret), variables.text("DATABASE_URL")
        return
    with scratch_home("hammer") as home, _server(home / "server") as server:
        urls = {
            "DATABASE_URL": server.app_url,
            "DATABASE_OWNER_URL": server.owner_url,
            "CELERY_BROKER_URL": server.broker_url,
            "PAYFLOW_LOG_LEVEL": "WARNING",
            "PAYFLOW_WEB_WORKERS": os.environ.get("PAYFLOW_WEB_WORKERS", _WEB_WORKERS),
            "PAYFLOW_EXPIRE_EVERY_SECONDS": "1",
        }
        with platform(home, **urls) as running:
            sandbox = SandboxControl(running.sandbox_url, running.sandbox_secret)
            yield running.url, sandbox, server.app_url


@contextmanager
def _server(home: Path) -> Iterator[EmbeddedPostgres]:
    try:
        with EmbeddedPostgres(home) as server:
            yield server
    except CannotStart as error:
        raise CommandError(str(error)) from None


def _hammer(url: str, sandbox: SandboxControl, database: str, *, lanes: int) -> Hammer:
    client = Client.register(
        f"{url}/api/v1",
        name="Hammer",
        email=f"hammer-{os.getpid()}@example.com",
        patience=PATIENCE,
        connections=4 * lanes,
    )
    return Hammer(RacingMerchant(client), sandbox, imbalance=_imbalance_of(database))


def _imbalance_of(database: str) -> Callable[[], list[str]]:
    def imbalance() -> list[str]:
        if not database:
            return []
        with psycopg.connect(database, autocommit=True) as connection:
            return [text for (text,) in connection.execute(_IMBALANCE).fetchall()]

    return imbalance
