"""The role that serves can do what serving needs, and not what append-only tables refuse."""

import logging

import pytest
from django.conf import settings

from shared.postgres.base import DatabaseWrapper
from shared.postgres.grants import UnknownRefusal, grant_after_migrate, grant_app_role
from shared.tests.postgres.sample.models import Entry
from shared.tests.postgres.scratch import execute, query

pytestmark = pytest.mark.django_db(databases=["owner"])

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
ROWS_MAY_CHANGE = {"SELECT", "INSERT", "UPDATE", "DELETE"}


@pytest.fixture
def role(owner: DatabaseWrapper, sample: None) -> str:
    """The serving role, without rights on the sample's tables until the test is rolled back."""
    for kind in ("ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "SCHEMA"):
        execute(owner, f"REVOKE ALL ON {kind} sample FROM {settings.APP_ROLE}")
    return str(settings.APP_ROLE)


def rights(owner: DatabaseWrapper, role: str, table: str) -> set[str]:
    return {
        verb
        for verb in VERBS
        if query(owner, f"SELECT has_table_privilege('{role}', '{table}', '{verb}')") == [(True,)]
    }


def may(owner: DatabaseWrapper, role: str, kind: str, name: str, right: str) -> bool:
    return query(owner, f"SELECT has_{kind}_privilege('{role}', '{name}', '{right}')") == [(True,)]


class TestGrantAppRole:
    def test_grants_what_serving_needs(self, owner: DatabaseWrapper, role: str) -> None:
        assert rights(owner, role, "sample.author") == set()

        grant_app_role(owner, role)

        assert rights(owner, role, "sample.author") == ROWS_MAY_CHANGE
        assert rights(owner, role, "public.django_migrations") >= {"SELECT"}
        assert may(owner, role, "schema", "sample", "USAGE")
        assert not may(owner, role, "schema", "sample", "CREATE")
        assert may(owner, role, "sequence", "sample.author_id_seq", "USAGE")

    def test_revokes_what_append_only_tables_refuse(
        self, owner: DatabaseWrapper, role: str
    ) -> None:
        grant_app_role(owner, role, models=[])  # naive: no table is append-only
        assert rights(owner, role, "sample.entry") == ROWS_MAY_CHANGE

        grant_app_role(owner, role)

        assert rights(owner, role, "sample.entry") == {"SELECT", "INSERT"}

    def test_may_be_repeated_after_new_tables(self, owner: DatabaseWrapper, role: str) -> None:
        grant_app_role(owner, role)
        execute(owner, "CREATE TABLE sample.later (id int)")
        assert rights(owner, role, "sample.later") == set()

        grant_app_role(owner, role)
        grant_app_role(owner, role)

        assert rights(owner, role, "sample.later") == ROWS_MAY_CHANGE
        assert rights(owner, role, "sample.entry") == {"SELECT", "INSERT"}

    def test_takes_back_truncate(self, owner: DatabaseWrapper, role: str) -> None:
        execute(owner, f"GRANT ALL ON ALL TABLES IN SCHEMA sample TO {role}")

        grant_app_role(owner, role)

        assert "TRUNCATE" not in rights(owner, role, "sample.author")
        assert rights(owner, role, "sample.entry") & {"UPDATE", "DELETE", "TRUNCATE"} == set()

    def test_takes_back_rights_on_single_columns(self, owner: DatabaseWrapper, role: str) -> None:
        execute(owner, f"GRANT UPDATE (text) ON sample.entry TO {role}")

        grant_app_role(owner, role)

        assert query(
            owner, f"SELECT has_any_column_privilege('{role}', 'sample.entry', 'UPDATE')"
        ) == [(False,)]

    def test_says_when_the_role_has_the_right_from_elsewhere(
        self, owner: DatabaseWrapper, role: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        execute(owner, "GRANT UPDATE ON sample.entry TO PUBLIC")

        grant_app_role(owner, role)

        assert f"Role {role} may still UPDATE" in caplog.text

    def test_skips_a_role_or_table_that_does_not_exist(
        self, owner: DatabaseWrapper, role: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        execute(owner, "DROP TABLE sample.entry")

        grant_app_role(owner, "nobody_here")
        grant_app_role(owner, role)

        assert "there is no role nobody_here" in caplog.text
        assert 'Nothing to revoke on "sample"."entry"' in caplog.text
        assert "No grants on schema nowhere" not in caplog.text
        assert rights(owner, role, "sample.author") == ROWS_MAY_CHANGE

    def test_skips_a_schema_that_does_not_exist(
        self, owner: DatabaseWrapper, role: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        owner.settings_dict["SCHEMAS"] = ["nowhere", "sample"]

        grant_app_role(owner, role)

        assert "No grants on schema nowhere" in caplog.text
        assert rights(owner, role, "sample.author") == ROWS_MAY_CHANGE

    def test_leaves_the_owner_alone(
        self, owner: DatabaseWrapper, sample: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        user = query(owner, "SELECT current_user")[0][0]
        granted = "SELECT relacl FROM pg_class WHERE oid = 'sample.entry'::regclass"
        before = query(owner, granted)

        grant_app_role(owner, user)

        assert query(owner, granted) == before
        assert "the owner of the tables" in caplog.text

    def test_refuses_an_unknown_refusal(
        self, owner: DatabaseWrapper, role: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Entry, "append_only", {"INSERT"})

        with pytest.raises(UnknownRefusal, match="INSERT"):
            grant_app_role(owner, role)


class TestGrantAfterMigrate:
    def test_grants_after_a_migration_by_the_owner(self, owner: DatabaseWrapper, role: str) -> None:
        grant_after_migrate(None, using="owner", plan=[])

        assert rights(owner, role, "sample.entry") == {"SELECT", "INSERT"}

    def test_does_not_even_look_at_another_connection(
        self, owner: DatabaseWrapper, role: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)

        grant_after_migrate(None, using="default", plan=[])

        assert rights(owner, role, "sample.entry") == set()
        assert "No grants" not in caplog.text

    def test_does_nothing_after_flush(self, owner: DatabaseWrapper, role: str) -> None:
        grant_after_migrate(None, using="owner")

        assert rights(owner, role, "sample.entry") == set()
