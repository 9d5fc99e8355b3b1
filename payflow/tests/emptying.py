"""
Emptying the database after a test: only the tables that it filled.

Django's flush truncates all of them and then does what follows a migration; that took longer than
most tests. What migrations leave (content types, permissions, grants) stays as it is.
"""

from functools import cache
from typing import Any

from django.apps import apps
from django.db import connections
from django.test import TransactionTestCase

_KEPT = frozenset({"django_content_type", "auth_permission"})


def instead_of_flushing() -> None:
    """Have every test that commits for real emptied in this way."""
    TransactionTestCase._fixture_teardown = _empty_all  # type: ignore[attr-defined]


def _empty_all(test: Any) -> None:
    for alias in test._databases_names(include_mirrors=False):
        empty(alias)


def empty(alias: str) -> None:
    """Empty a database."""
    with connections[alias].cursor() as cursor:
        cursor.execute(_question(alias))
        filled = [name for (name,) in cursor.fetchall()]
        if filled:
            cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")


@cache
def _question(alias: str) -> str:
    """Which tables have rows, as one statement; of the models that were there at first."""
    quoted = connections[alias].ops.quote_name
    models = apps.get_models(include_auto_created=True)
    tables = {model._meta.db_table for model in models if model._meta.managed} - _KEPT
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})"
        for name in map(quoted, sorted(tables))
    )
