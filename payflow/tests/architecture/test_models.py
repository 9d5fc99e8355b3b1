"""Tables stay in the schema of their module, and the database refuses what the models say."""

from collections import Counter

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Model

from shared.postgres.naming import split

OUR_MODELS = [
    model
    for model in apps.get_models()
    if model._meta.app_label in {*settings.MODULES, "shared"} and model._meta.managed
]


def tables_outside_their_schema(models: list[type[Model]]) -> list[str]:
    return [m._meta.label for m in models if split(m._meta.db_table)[0] != m._meta.app_label]


def relations_across_modules(models: list[type[Model]]) -> list[str]:
    return [
        f"{model._meta.label}.{field.name}"
        for model in models
        for field in model._meta.get_fields()
        if isinstance(field.related_model, type)
        and field.related_model._meta.app_label != model._meta.app_label
    ]


class TestModels:
    def test_keep_their_tables_in_the_schema_of_their_module(self) -> None:
        assert tables_outside_their_schema(OUR_MODELS) == []

    def test_relate_to_rows_of_their_own_module_only(self) -> None:
        assert relations_across_modules(OUR_MODELS) == []

    def test_of_django_itself_would_be_found(self) -> None:
        session = apps.get_model("sessions", "Session")
        log_entry = apps.get_model("admin", "LogEntry")

        assert tables_outside_their_schema([session]) == ["sessions.Session"]
        assert "admin.LogEntry.user" in relations_across_modules([log_entry])

    def test_name_every_constraint_and_index_uniquely(self) -> None:
        names = Counter(
            named.name
            for model in OUR_MODELS
            for named in (*model._meta.constraints, *model._meta.indexes)
        )
        assert [name for name, count in names.items() if count > 1] == []

    @pytest.mark.django_db
    def test_that_are_append_only_are_so_in_the_database_too(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n.nspname, c.relname FROM pg_trigger t"
                " JOIN pg_class c ON c.oid = t.tgrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE t.tgname = c.relname || '_refuses_change'"
            )
            guarded = set(cursor.fetchall())
        marked = {split(m._meta.db_table) for m in OUR_MODELS if getattr(m, "append_only", ())}
        assert guarded == marked
