"""Connections for the tests of the engine: the owner's, with Django's stock engine as its twin."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.backends.postgresql import introspection, schema
from django.test import override_settings

from shared.postgres.base import DatabaseWrapper
from shared.tests.postgres.scratch import execute


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> DatabaseWrapper:
    """The owner's connection, with an empty schema `scratch`; DDL is rolled back with the test."""
    connection = connections["owner"]
    assert isinstance(connection, DatabaseWrapper)
    monkeypatch.setitem(connection.settings_dict, "SCHEMAS", ["scratch", "sample"])
    execute(connection, "CREATE SCHEMA scratch")
    return connection


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
