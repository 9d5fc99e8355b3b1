"""
The test suite's ground: a real PostgreSQL of its own, two roles, real commits.

Loaded by `pyproject.toml`. The server is started before Django reads its settings and shared by
all xdist workers, each with a database of its own. So is one sandbox, the acquirer that payments
go to; a test that breaks it on purpose starts its own (`payflow.tests.sandbox_process`). Every test
marked `django_db` commits for real: `TestCase` transactions would hide what happens on commit.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from payflow.runtime.embedded_postgres import EmbeddedPostgres
from payflow.tests.sandbox_process import Sandbox

_HOME = "PAYFLOW_TEST_HOME"
_server: EmbeddedPostgres | None = None
_sandbox: Sandbox | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Start the server and point the settings to it, before Django is set up."""
    if _HOME not in os.environ:
        _start_server()
    yield


def pytest_unconfigure() -> None:
    """Stop the server that this process started."""
    global _server, _sandbox  # noqa: PLW0603 - one of each per run
    if _sandbox is not None:
        _sandbox.stop()
        _sandbox = None
    if _server is not None:
        _server.stop()
        _server = None
        shutil.rmtree(os.environ.pop(_HOME), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every database test commit for real, on both roles."""
    for item in items:
        if item.get_closest_marker("django_db"):
            item.add_marker(
                pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
                append=False,
            )
            item.fixturenames[:0] = [  # type: ignore[attr-defined]
                "truncatable_tables",
                "unbreached_wall",
                "no_socket_in_transaction",
                "seeded_rules",
            ]


@pytest.fixture(scope="session")
def truncatable_tables(django_db_setup: None, django_db_blocker: object) -> None:
    """Let append-only tables be emptied between tests, as only their owner can."""
    from django.db import connections

    from payflow.tests import emptying
    from shared.postgres.operations import disable_truncate_triggers

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        disable_truncate_triggers(connections["owner"])
    emptying.instead_of_flushing()


@pytest.fixture
def unbreached_wall() -> Iterator[None]:
    """Fail a test in which the SQL wall was breached, also where the bus caught the exception."""
    from shared.postgres import sql_wall

    sql_wall.breaches.clear()
    yield
    breaches, sql_wall.breaches[:] = list(sql_wall.breaches), []
    if breaches:
        pytest.fail(f"The SQL wall was breached: {breaches}")


@pytest.fixture
def no_socket_in_transaction(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which a socket was opened inside a transaction, whoever caught the error."""
    from payflow.tests import sockets

    with sockets.watched(monkeypatch) as opened:
        yield
    if opened:
        pytest.fail(f"Sockets were opened inside a transaction: {opened}")


@pytest.fixture
def seeded_rules(transactional_db: None) -> None:
    """The fraud rules and routes of a fresh installation, which were emptied away."""
    from django.apps import apps
    from django.db import connections

    if not apps.get_model("fraud", "Rule").objects.exists():
        seed = import_module("fraud.migrations.0002_rules").seed
        seed(apps, SimpleNamespace(connection=connections["default"]))
    if not apps.get_model("payments", "Route").objects.exists():
        seed = import_module("payments.migrations.0004_lifecycle_guards").seed
        seed(apps, SimpleNamespace(connection=connections["default"]))


def _start_server() -> None:
    global _server, _sandbox  # noqa: PLW0603 - one of each per run
    home = Path(tempfile.mkdtemp(prefix="payflow-test-"))
    _server = EmbeddedPostgres(home, durable=False).start()
    _sandbox = Sandbox(home).start()
    os.environ |= {
        _HOME: str(home),
        "PAYFLOW_HOME": str(home),
        "DATABASE_URL": _server.app_url,
        "DATABASE_OWNER_URL": _server.owner_url,
        "PAYFLOW_SANDBOX_URL": _sandbox.url,
        "PAYFLOW_SANDBOX_SECRET": _sandbox.secret,
        "PAYFLOW_TEST_BROKER_URL": _server.broker_url,
        "PAYFLOW_SQL_WALL": "yes",
        "PAYFLOW_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "payflow.settings",
    }
    for name in (
        "CELERY_BROKER_URL",
        "EMAIL_HOST",
        "PAYFLOW_MODE",
        "PAYFLOW_DISPATCH",
        "PAYFLOW_EVENTS_URL",
        "PAYFLOW_STRIPE_SECRET_KEY",
    ):
        os.environ.pop(name, None)
