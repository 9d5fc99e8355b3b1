"""The engine makes every schema change Django can express, where Django's own engine does not."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import (
    DatabaseError,
    ProgrammingError,
    connection,
    connections,
    migrations,
    models,
    transaction,
)
from django.db.backends.postgresql import base as postgresql
from django.db.backends.postgresql import schema
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django.db.models import QuerySet

from shared.postgres.base import DatabaseWrapper
from shared.postgres.naming import NameNotPlain, schema_table, split
from shared.postgres.operations import disable_truncate_triggers
from shared.postgres.schema import TableMovesBetweenSchemas
from shared.tests.postgres.cases import Case, NameTable, base_models, schema_cases
from shared.tests.postgres.sample.models import Author, Entry
from shared.tests.postgres.scratch import (
    Picture,
    execute,
    migrate,
    picture,
    query,
    unmigrate,
)

with_database = pytest.mark.django_db(databases=["owner"])

Stock = Callable[[], AbstractContextManager[None]]
STOCK_ERRORS = (AssertionError, DatabaseError, ValueError)


class TestNaming:
    def test_writes_what_meta_db_table_needs(self) -> None:
        assert schema_table("scratch", "child") == '"scratch"."child"'

    @pytest.mark.parametrize("name", ["", "Child", "a.b", 'a"b', "1a", "é", "a" * 64])
    def test_refuses_names_that_need_quotes(self, name: str) -> None:
        with pytest.raises(NameNotPlain):
            schema_table("scratch", name)

    @pytest.mark.parametrize(
        ("name", "parts"),
        [
            ('"scratch"."child"', ("scratch", "child")),
            ('scratch"."child_tags', ("scratch", "child_tags")),
            ("django_migrations", ("", "django_migrations")),
            ('"auth_user"', ("", "auth_user")),
        ],
    )
    def test_splits_both_spellings_of_django(self, name: str, parts: tuple[str, str]) -> None:
        assert split(name) == parts


def in_scratch(table: str) -> str:
    return schema_table("scratch", table)


def bare(table: str) -> str:
    return table


CASES = schema_cases(in_scratch)


def there_and_back(
    connection: DatabaseWrapper, case: Case, name_table: NameTable, schema: str
) -> list[Picture]:
    """Return what the schema looks like before the change, after it, and when it is taken back."""
    state = migrate(connection, ProjectState(), base_models(name_table))[-1]
    state = migrate(connection, state, case.prepare)[-1]
    before = picture(connection, schema)
    states = migrate(connection, state, case.change)
    changed = picture(connection, schema)
    unmigrate(connection, states, case.change)
    return [before, changed, picture(connection, schema)]


@with_database
class TestSchemaEditor:
    """The oracle is Django's own engine on bare names: a schema must make no difference to it."""

    @pytest.fixture
    def oracle(self, owner: DatabaseWrapper, stock: Stock) -> Callable[[str], list[Picture]]:
        def ask(name: str) -> list[Picture]:
            execute(owner, "CREATE SCHEMA plain; SET search_path = plain")
            with stock():
                return there_and_back(owner, schema_cases(bare)[name], bare, "plain")

        return ask

    @pytest.mark.parametrize("name", CASES)
    def test_changes_and_changes_back(
        self, owner: DatabaseWrapper, oracle: Callable[[str], list[Picture]], name: str
    ) -> None:
        expected = oracle(name)

        seen = there_and_back(owner, CASES[name], in_scratch, "scratch")

        assert seen[0] != seen[1]
        assert seen == expected

    @pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.stock_fails])
    def test_where_the_stock_engine_fails(
        self,
        owner: DatabaseWrapper,
        oracle: Callable[[str], list[Picture]],
        stock: Stock,
        name: str,
    ) -> None:
        expected = oracle(name)

        with pytest.raises(STOCK_ERRORS), transaction.atomic(using="owner"), stock():
            assert there_and_back(owner, CASES[name], in_scratch, "scratch") == expected

    def test_the_stock_engine_reports_success_and_does_nothing(
        self, owner: DatabaseWrapper, stock: Stock
    ) -> None:
        case = CASES["index off"]
        state = migrate(owner, ProjectState(), [*base_models(in_scratch), *case.prepare])[-1]
        before = picture(owner)

        with stock():
            migrate(owner, state, case.change)

        assert picture(owner) == before

    def test_moves_no_table_to_another_schema(self, owner: DatabaseWrapper) -> None:
        state = migrate(owner, ProjectState(), base_models(in_scratch))[-1]

        for target in (schema_table("sample", "child"), "child"):
            with pytest.raises(TableMovesBetweenSchemas, match="SET SCHEMA"):
                migrate(owner, state, [migrations.AlterModelTable("child", target)])

    def test_drops_a_foreign_key_with_rows_still_to_be_checked(
        self, owner: DatabaseWrapper
    ) -> None:
        state = migrate(owner, ProjectState(), base_models(in_scratch))[-1]
        execute(owner, "INSERT INTO scratch.parent (code) VALUES ('p')")
        execute(
            owner,
            "INSERT INTO scratch.child (parent_id, amount, reference)"
            " SELECT id, 1, 'c' FROM scratch.parent",
        )

        migrate(owner, state, [migrations.RemoveField("child", "parent")])

        assert not [row for row in picture(owner)["constraints"] if "FOREIGN KEY" in row[2]]

    @pytest.mark.parametrize("is_stock", [False, True])
    def test_drops_the_sequence_of_a_serial_column(
        self, owner: DatabaseWrapper, stock: Stock, is_stock: bool
    ) -> None:
        state = migrate(owner, ProjectState(), base_models(in_scratch))[-1]
        execute(owner, "ALTER TABLE scratch.parent ALTER COLUMN id DROP IDENTITY")
        execute(owner, "CREATE SEQUENCE scratch.old_seq OWNED BY scratch.parent.id")
        execute(owner, "ALTER TABLE scratch.parent ALTER id SET DEFAULT nextval('scratch.old_seq')")
        field = models.BigIntegerField(primary_key=True)

        with stock() if is_stock else nullcontext():
            migrate(owner, state, [migrations.AlterField("parent", "id", field)])

        left = {name for name, _ in picture(owner)["sequences"]}
        assert ("old_seq" in left) is is_stock

    def test_keeps_tables_of_one_name_in_two_schemas_apart(self, owner: DatabaseWrapper) -> None:
        execute(owner, "CREATE TABLE public.child (id int, amount int)")
        execute(owner, "CREATE INDEX child_idx ON public.child (amount)")

        there_and_back(owner, CASES["index off"], in_scratch, "scratch")

        assert query(owner, "SELECT to_regclass('public.child_idx') IS NOT NULL") == [(True,)]


@with_database
class TestConcurrentIndexes:
    @pytest.fixture
    def direct(self) -> Iterator[DatabaseWrapper]:
        """A connection outside the test's transaction: CONCURRENTLY works in none."""
        settings = connections["owner"].settings_dict | {"SCHEMAS": ["scratch"]}
        connection = DatabaseWrapper(settings, "direct")
        connections["direct"] = connection
        execute(connection, "SET lock_timeout = '5s'")
        execute(connection, "CREATE SCHEMA scratch")
        yield connection
        execute(connection, "DROP SCHEMA scratch CASCADE")
        connection.close()
        del connections["direct"]

    @pytest.mark.parametrize("is_stock", [False, True])
    def test_are_created_and_dropped(
        self, direct: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch, is_stock: bool
    ) -> None:
        state = migrate(direct, ProjectState(), base_models(in_scratch))[-1]
        change = [AddIndexConcurrently("child", models.Index(fields=["amount"], name="child_idx"))]
        before = picture(direct)
        if is_stock:
            monkeypatch.setattr(direct, "SchemaEditorClass", schema.DatabaseSchemaEditor)

        states = migrate(direct, state, change, atomic=False)
        changed = picture(direct)
        unmigrate(direct, states, change, atomic=False)

        assert changed != before
        assert (picture(direct) == before) is not is_stock


@with_database
@pytest.mark.usefixtures("sample")
class TestIntrospection:
    def test_names_tables_as_models_do(self, owner: DatabaseWrapper) -> None:
        names = owner.introspection.table_names()

        assert {'"sample"."author"', '"sample"."entry"', "django_migrations"} <= set(names)
        assert set(owner.introspection.django_table_names(only_existing=True)) == {
            '"sample"."author"',
            '"sample"."entry"',
        }

    def test_the_stock_engine_sees_none_of_them(self, owner: DatabaseWrapper, stock: Stock) -> None:
        with stock():
            assert not [name for name in owner.introspection.table_names() if "entry" in name]
            assert owner.introspection.django_table_names(only_existing=True) == []

    def test_knows_sequences_and_relations_by_qualified_name(self, owner: DatabaseWrapper) -> None:
        with owner.cursor() as cursor:
            sequences = owner.introspection.get_sequences(cursor, 'sample"."entry')
            relations = owner.introspection.get_relations(cursor, '"sample"."entry"')
            constraints = owner.introspection.get_constraints(cursor, '"sample"."entry"')

        assert sequences == [
            {"name": '"sample"."entry_id_seq"', "table": '"sample"."entry"', "column": "id"}
        ]
        assert relations == {"author_id": ("id", '"sample"."author"')}
        assert ('"sample"."author"', "id") in [c["foreign_key"] for c in constraints.values()]

    def test_leaves_the_search_path_as_it_was(self, owner: DatabaseWrapper) -> None:
        before = query(owner, "SHOW search_path")

        with (
            pytest.raises(ProgrammingError),
            transaction.atomic(using="owner"),
            owner.cursor() as cursor,
        ):
            owner.introspection.get_table_description(cursor, '"scratch"."missing"')
        with owner.cursor() as cursor:
            owner.introspection.get_constraints(cursor, '"scratch"."missing"')

        assert query(owner, "SHOW search_path") == before

    def test_inspectdb_writes_models(self, owner: DatabaseWrapper, stock: Stock) -> None:
        def inspect() -> str:
            output = io.StringIO()
            call_command("inspectdb", database="owner", stdout=output)
            return output.getvalue()

        written = inspect()
        assert "class SampleEntry(models.Model):" in written
        assert "author = models.ForeignKey(SampleAuthor, models.DO_NOTHING)" in written
        assert 'db_table = \'"sample"."entry"\'' in written
        assert "Unable to inspect" not in written

        with stock():
            assert "Entry" not in inspect()


@with_database
@pytest.mark.usefixtures("sample")
class TestFlush:
    def flush(self) -> None:
        call_command(
            "flush", database="owner", interactive=False, inhibit_post_migrate=True, verbosity=0
        )

    def test_empties_tables_in_schemas(self, owner: DatabaseWrapper) -> None:
        disable_truncate_triggers(owner)

        self.flush()

        assert query(owner, "SELECT count(*) FROM sample.entry") == [(0,)]

    def test_fails_while_truncate_triggers_are_on(self, owner: DatabaseWrapper) -> None:
        with pytest.raises(CommandError) as failure, transaction.atomic(using="owner"):
            self.flush()

        assert "append-only" in str(failure.value.__cause__)
        assert query(owner, "SELECT count(*) FROM sample.entry") == [(1,)]

    def test_the_stock_engine_leaks_rows(self, owner: DatabaseWrapper, stock: Stock) -> None:
        disable_truncate_triggers(owner)

        with stock():
            self.flush()

        assert query(owner, "SELECT count(*) FROM sample.entry") == [(1,)]

    def test_resets_sequences(self, owner: DatabaseWrapper) -> None:
        authors: QuerySet[Author] = QuerySet(Author, using="owner")
        authors.create(id=41, name="Grace")
        for statement in owner.ops.sequence_reset_sql(no_style(), [Author]):
            execute(owner, statement)

        assert authors.create(name="Edsger").pk == 42

    def test_sequence_list_can_be_reset_by_name(self, owner: DatabaseWrapper) -> None:
        sequences = owner.introspection.sequence_list()
        for statement in owner.ops.sequence_reset_by_name_sql(no_style(), sequences):
            execute(owner, statement)

        assert query(owner, "SELECT nextval('sample.entry_id_seq')") == [(1,)]


@with_database
@pytest.mark.usefixtures("sample")
class TestMigrate:
    def plan(self) -> list[object]:
        executor = MigrationExecutor(connections["owner"])
        return list(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    def test_twice_does_nothing_the_second_time(self, owner: DatabaseWrapper) -> None:
        assert self.plan() == []

        call_command("migrate", database="owner", verbosity=0)

        assert query(owner, "SELECT count(*) FROM sample.entry") == [(1,)]

    def test_back_to_zero_and_forward_again(self, owner: DatabaseWrapper) -> None:
        call_command("migrate", "sample", "zero", database="owner", verbosity=0)
        gone = query(
            owner, "SELECT to_regclass('sample.entry'), to_regproc('sample.entry_is_append_only')"
        )
        call_command("migrate", database="owner", verbosity=0)

        assert gone == [(None, None)]
        assert query(owner, "SELECT count(*) FROM sample.entry") == [(0,)]

    def test_recognises_tables_that_exist_already(
        self, owner: DatabaseWrapper, stock: Stock
    ) -> None:
        def migrate_again() -> None:
            execute(owner, "DELETE FROM django_migrations WHERE app = 'sample'")
            call_command("migrate", fake_initial=True, database="owner", verbosity=0)

        migrate_again()

        with (
            stock(),
            pytest.raises(ProgrammingError, match="already exists"),
            transaction.atomic("owner"),
        ):
            migrate_again()


@with_database
@pytest.mark.usefixtures("sample")
class TestQueries:
    def test_locks_only_the_rows_of_the_named_model(self, owner: DatabaseWrapper) -> None:
        everything: QuerySet[Entry] = QuerySet(Entry, using="owner")
        entries = everything.select_related("author")

        assert entries.select_for_update(of=("author",)).get().author.name == "Ada"
        with pytest.raises(DatabaseError, match="unqualified"), transaction.atomic("owner"):
            # What Django's own dialect writes.
            execute(owner, 'SELECT 1 FROM "sample"."entry" FOR UPDATE OF "sample"."entry"')


@pytest.mark.django_db(transaction=True)
class TestIsUsable:
    def test_asks_the_server_nothing_while_the_line_is_quiet(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection.ensure_connection()
        monkeypatch.setattr(postgresql.DatabaseWrapper, "is_usable", lambda _: pytest.fail("asked"))

        assert connection.is_usable()

    def test_notices_that_the_server_has_hung_up(self) -> None:
        connection.ensure_connection()
        backend = connection.connection.info.backend_pid
        with closing(connection.copy()) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])

        assert not connection.is_usable()
        connection.close()

    def test_is_not_fooled_by_what_a_live_server_says_unasked(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("LISTEN hello")
        with connections["owner"].cursor() as cursor:
            cursor.execute("NOTIFY hello")

        assert connection.is_usable()
        connection.close()
