"""Connections for the tests of the engine: the owner's, with Django's stock engine as its twin."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import pytest_django
from django.core.management import call_command
from django.db import connections
from django.db.backends.postgresql import introspection, schema
from django.test import TestCase, override_settings

from shared.postgres.base import DatabaseWrapper
from shared.tests.postgres.scratch import execute


class _OwnerTestCase(TestCase):
    databases = {"owner"}


@pytest.fixture
def _django_db_helper(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[None]:
    """
    Open the database to a test and no more, in place of pytest-django's fixture of this name.

    These tests leave nothing behind; the flush after each of them would cost more than they do.
    """
    with django_db_blocker.unblock():
        yield
        connections.close_all()


@pytest.fixture
def rolled_back() -> Iterator[DatabaseWrapper]:
    """The owner's connection in the transaction that Django's TestCase keeps around a test."""
    connection = connections["owner"]
    assert isinstance(connection, DatabaseWrapper)
    test_case: Any = _OwnerTestCase
    atomics = test_case._enter_atomics()
    yield connection
    test_case._rollback_atomics(atomics)


@pytest.fixture
def owner(rolled_back: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> DatabaseWrapper:
    """The owner's connection, with an empty schema `scratch`; DDL is rolled back with the test."""
    monkeypatch.setitem(rolled_back.settings_dict, "SCHEMAS", ["scratch", "sample"])
    execute(rolled_back, "CREATE SCHEMA scratch")
    return rolled_back


@pytest.fixture
def stock(owner: DatabaseWrapper) -> Callable[[], AbstractContextManager[None]]:
    """Within this context, the owner's connection behaves as Django's own engine does."""

    @contextmanager
    def exchanged() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, "introspection", introspection.DatabaseIntrospection(owner))
            patch.setattr(owner, "SchemaEditorClass", schema.DatabaseSchemaEditor)
            yield

    return exchanged


@pytest.fixture
def sample(owner: DatabaseWrapper) -> Iterator[None]:
    """The sample app, installed and migrated, with one author and one entry."""
    with override_settings(INSTALLED_APPS=["shared.tests.postgres.sample"]):
        call_command("migrate", database="owner", verbosity=0)
        execute(owner, """INSERT INTO sample.author (name) VALUES ('Ada')""")
        execute(
            owner,
            """INSERT INTO sample.entry (author_id, text) SELECT id, 'one' FROM sample.author""",
        )
        owner.check_constraints()  # no table with checks still to come can be altered
        yield
