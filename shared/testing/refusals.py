"""What the database refuses, by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.models import Model

from shared import db


def violated(break_it: Callable[[], Any], using: str = "default") -> str | None:
    """The constraint, or the trigger in the role of one, that refuses a change by its commit."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(using=using):
        break_it()
    return db.violated_constraint(refusal.value)


def refused_state(break_it: Callable[[], Any], using: str = "default") -> str | None:
    """PostgreSQL's code for why it refuses a change."""
    with pytest.raises(DatabaseError) as refusal, transaction.atomic(using=using):
        break_it()
    return db.sqlstate(refusal.value)


def constraint_names(model: type[Model]) -> set[str]:
    """The names of a model's constraints: what a test of each of them has to cover."""
    return {constraint.name for constraint in model._meta.constraints}


@contextmanager
def without_trigger(table: str, *triggers: str) -> Iterator[None]:
    """The naive twin: on the owner's connection the triggers rest; all of it is rolled back."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        for trigger in triggers:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True, using="owner")
