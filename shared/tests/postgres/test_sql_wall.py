"""The wall finds modules that meet in a statement or a transaction, and nothing else."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from psycopg import sql

from shared.postgres.base import DatabaseWrapper
from shared.postgres.sql_wall import SqlWall, SqlWallBreached, breaches, read
from shared.tests.postgres.scratch import execute, query

with_database = pytest.mark.django_db(databases=["owner"])

MODULES = frozenset({"alpha", "beta"})

INTO_ALPHA = 'INSERT INTO "alpha"."thing" ("n") VALUES (1)'
INTO_BETA = 'INSERT INTO "beta"."thing" ("n") VALUES (1)'
INTO_COMMON = 'INSERT INTO "common"."thing" ("n") VALUES (1)'
FROM_ALPHA = 'SELECT "alpha"."thing"."n" FROM "alpha"."thing"'
FROM_BETA = 'SELECT "beta"."thing"."n" FROM "beta"."thing"'
BOTH = 'SELECT 1 FROM "alpha"."thing", "beta"."thing"'


def named(statement: str) -> set[str]:
    return {name for names in read(statement, MODULES).named_by_statement for name in names}


class TestRead:
    @pytest.mark.parametrize(
        "statement",
        [
            BOTH,
            "select 1 from alpha.thing join BETA . thing using (n)",
            'SELECT 1 FROM "alpha".thing WHERE n IN (SELECT n FROM beta."thing")',
            'INSERT INTO "alpha"."thing" SELECT * FROM "beta"."thing"',
            'TRUNCATE "alpha"."thing", "beta"."thing"',
            'SELECT 1 FROM "alpha"."thing" -- it\'s\n, "beta"."thing"',
            'SELECT \'it\'\'s\', "alpha"."thing"."n" FROM "alpha"."thing", "beta"."thing"',
            "SELECT E'\\'', alpha.f() FROM beta.thing",
            'SELECT "o\'clock" FROM alpha.thing, beta.thing WHERE "o\'clock" = 1',
        ],
    )
    def test_finds_two_schemas_in_one_statement(self, statement: str) -> None:
        assert named(statement) == {"alpha", "beta"}

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT 'beta.thing' FROM alpha.thing",
            "SELECT 1 FROM alpha.thing -- beta.thing",
            "SELECT 1 /* beta.thing /* beta.thing */ beta.thing */ FROM alpha.thing",
            "SELECT $$ beta.thing $$, $x$ $$ beta.thing $$ $x$ FROM alpha.thing",
            "SELECT E'\\' beta.thing' FROM alpha.thing",
            'SELECT "alpha"."beta"."n" FROM "alpha"."beta"',
            'SELECT "alpha"."thing"."beta" AS "beta" FROM "alpha"."thing"',
            'SELECT "beta.thing" FROM "alpha"."thing"',
            'SELECT 1 FROM "alpha"."thing", "shared"."event", "django_session", public.x',
            "SELECT 1 FROM alpha.thing, betamax.thing, alphabeta.thing",
        ],
    )
    def test_is_not_deceived_by_what_only_looks_like_one(self, statement: str) -> None:
        assert named(statement) == {"alpha"}

    def test_reads_statements_one_by_one(self) -> None:
        reading = read(f"{FROM_ALPHA}; {FROM_BETA}", MODULES)

        assert reading.named_by_statement == (frozenset({"alpha"}), frozenset({"beta"}))

    @pytest.mark.parametrize(
        "statement",
        [
            INTO_ALPHA,
            'WITH x AS (INSERT INTO "alpha"."thing" VALUES (1) RETURNING n) SELECT * FROM x',
            'WITH "x" AS (SELECT 1) UPDATE "alpha"."thing" SET "n" = 1',
            "update only alpha.thing set n = 1",
            'DELETE FROM "alpha"."thing" WHERE "n" = \'x\'',
            "delete\nfrom\tonly alpha.thing",
            "MERGE INTO alpha.thing AS t USING x ON t.n = x.n WHEN MATCHED THEN DELETE",
            'TRUNCATE TABLE ONLY "other", "alpha"."thing" * RESTART IDENTITY',
            'COPY "alpha"."thing" ("n", m) FROM STDIN',
            "copy alpha.thing from stdin",
            f"SELECT 1; {INTO_ALPHA}",
            f"/* a comment */ {INTO_ALPHA}",
        ],
    )
    def test_finds_writes(self, statement: str) -> None:
        assert read(statement, MODULES).written == {"alpha"}

    @pytest.mark.parametrize(
        "statement",
        [
            FROM_ALPHA,
            f"{FROM_ALPHA} FOR UPDATE",
            f"{FROM_ALPHA} FOR NO KEY UPDATE OF alpha SKIP LOCKED",
            'COPY "alpha"."thing" TO STDOUT',
            "COPY (SELECT 1 FROM alpha.thing) TO STDOUT",
            "SELECT 'INSERT INTO alpha.thing' FROM alpha.thing",
            'INSERT INTO "common"."thing" SELECT "n" FROM "alpha"."thing"',
            "CREATE TRIGGER x BEFORE UPDATE ON alpha.thing EXECUTE FUNCTION alpha.f()",
            "LOCK TABLE alpha.thing",
        ],
    )
    def test_takes_reads_for_reads(self, statement: str) -> None:
        reading = read(statement, MODULES)

        assert reading.named_by_statement == (frozenset({"alpha"}),)
        assert reading.written == set()

    def test_reads_a_text_once(self) -> None:
        assert read(FROM_ALPHA, MODULES) is read(FROM_ALPHA, MODULES)


@pytest.fixture
def walled() -> Iterator[DatabaseWrapper]:
    """A connection of its own with a wall between alpha and beta, to tables really there."""
    owner = connections["owner"].settings_dict
    connection = DatabaseWrapper({**owner, "SQL_WALL": sorted(MODULES)}, "walled")
    connections["walled"] = connection
    execute(connection, "SET lock_timeout = '5s'")
    for schema in ("alpha", "beta", "common"):
        execute(connection, f"CREATE SCHEMA {schema}")
        execute(connection, f"CREATE TABLE {schema}.thing (n int)")
    yield connection
    for schema in ("alpha", "beta", "common"):
        execute(connection, f"DROP SCHEMA {schema} CASCADE")
    connection.close()
    del connections["walled"]


@pytest.fixture(autouse=True)
def _planted() -> Iterator[None]:
    """Breaches here are planted: leave none behind for the test runner to find."""
    yield
    breaches.clear()


def written(connection: DatabaseWrapper) -> list[int]:
    """How many rows arrived in alpha, beta and common."""
    return [
        query(connection, f"SELECT count(*) FROM {schema}.thing")[0][0]
        for schema in ("alpha", "beta", "common")
    ]


@with_database
class TestOneStatement:
    def test_may_not_name_two_modules(self, walled: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached, match="alpha and beta"):
            execute(walled, BOTH)

    def test_may_name_one_module_beside_what_is_shared(self, walled: DatabaseWrapper) -> None:
        execute(walled, 'SELECT 1 FROM "alpha"."thing", "common"."thing"')

    def test_is_found_however_it_is_written(self, walled: DatabaseWrapper) -> None:
        table = sql.SQL("SELECT 1 FROM {}, {}").format(
            sql.Identifier("alpha", "thing"), sql.Identifier("beta", "thing")
        )
        statements: list[Any] = [table, BOTH.encode(), BOTH]
        with walled.cursor() as cursor:
            for statement in statements:
                with pytest.raises(SqlWallBreached):
                    cursor.execute(statement)
            with pytest.raises(SqlWallBreached):
                cursor.executemany(f"{INTO_ALPHA} RETURNING (SELECT %s FROM beta.thing)", [(1,)])

    def test_is_found_on_a_server_side_cursor(self, walled: DatabaseWrapper) -> None:
        with (
            transaction.atomic("walled"),
            walled.chunked_cursor() as cursor,
            pytest.raises(SqlWallBreached),
        ):
            cursor.execute(BOTH)

    def test_passes_without_a_wall(self, walled: DatabaseWrapper) -> None:
        open_space = DatabaseWrapper({**walled.settings_dict, "SQL_WALL": []}, "open space")

        execute(open_space, BOTH)

        open_space.close()


@with_database
class TestOneTransaction:
    def test_may_not_write_to_two_modules(self, walled: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached, match="alpha and beta"), transaction.atomic("walled"):
            execute(walled, INTO_ALPHA)
            execute(walled, INTO_BETA)

        assert written(walled) == [0, 0, 0]

    def test_may_not_do_so_in_savepoints(self, walled: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached), transaction.atomic("walled"):
            for statement in (INTO_ALPHA, INTO_BETA):
                with transaction.atomic("walled"):
                    execute(walled, statement)

    def test_may_not_do_so_by_executemany(self, walled: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached), transaction.atomic("walled"):
            execute(walled, INTO_ALPHA)
            with walled.cursor() as cursor:
                cursor.executemany("INSERT INTO beta.thing VALUES (%s)", [(1,), (2,)])

    def test_may_not_do_so_in_one_text(self, walled: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached):
            execute(walled, f"{INTO_ALPHA}; {INTO_BETA}")

    def test_may_write_to_one_module_and_read_another(self, walled: DatabaseWrapper) -> None:
        with transaction.atomic("walled"):
            execute(walled, INTO_ALPHA)
            execute(walled, FROM_BETA)

        assert written(walled) == [1, 0, 0]

    def test_may_write_to_what_is_shared_beside_one_module(self, walled: DatabaseWrapper) -> None:
        with transaction.atomic("walled"):
            execute(walled, INTO_COMMON)
            execute(walled, INTO_ALPHA)

        assert written(walled) == [1, 0, 1]

    def test_does_not_count_the_transaction_before(self, walled: DatabaseWrapper) -> None:
        # One decorator is one `Atomic` object, however many transactions it makes.
        @transaction.atomic("walled")
        def write(statement: str) -> None:
            execute(walled, statement)

        write(INTO_ALPHA)
        write(INTO_BETA)
        execute(walled, INTO_ALPHA)
        execute(walled, INTO_BETA)

        assert written(walled) == [2, 2, 0]

    def test_can_be_left_in_good_order_after_a_breach(self, walled: DatabaseWrapper) -> None:
        with transaction.atomic("walled"):
            execute(walled, INTO_ALPHA)
            with pytest.raises(SqlWallBreached), transaction.atomic("walled"):
                execute(walled, INTO_BETA)
            execute(walled, INTO_ALPHA)

        assert written(walled) == [2, 0, 0]


@with_database
class TestInATestCase:
    """Django's TestCase keeps a transaction open around every test; it is none of the code's."""

    @pytest.fixture
    def walled_owner(
        self,
        walled: DatabaseWrapper,
        rolled_back: DatabaseWrapper,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[DatabaseWrapper]:
        wall = SqlWall(MODULES)
        monkeypatch.setattr(rolled_back, "sql_wall", wall)
        with rolled_back.execute_wrapper(wall):
            yield rolled_back

    def test_two_transactions_may_write_to_a_module_each(
        self, walled_owner: DatabaseWrapper
    ) -> None:
        for statement in (INTO_ALPHA, INTO_BETA):
            with transaction.atomic("owner"):
                execute(walled_owner, statement)
        execute(walled_owner, INTO_ALPHA)
        execute(walled_owner, INTO_BETA)

        assert written(walled_owner) == [2, 2, 0]

    def test_one_transaction_may_not(self, walled_owner: DatabaseWrapper) -> None:
        with pytest.raises(SqlWallBreached), transaction.atomic("owner"):
            execute(walled_owner, INTO_ALPHA)
            execute(walled_owner, INTO_BETA)

    def test_counting_the_test_case_would_find_what_is_no_breach(
        self, walled_owner: DatabaseWrapper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for block in walled_owner.atomic_blocks:
            monkeypatch.setattr(block, "_from_testcase", False)  # a naive wall does not look

        execute(walled_owner, INTO_ALPHA)
        with pytest.raises(SqlWallBreached):
            execute(walled_owner, INTO_BETA)


@with_database
@pytest.mark.usefixtures("walled")
class TestEveryConnection:
    def run_in_a_thread(self, work: Callable[[], None]) -> BaseException | None:
        caught: list[BaseException] = []

        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                caught.append(error)
            finally:
                connections["owner"].close()

        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()
        return caught[0] if caught else None

    def test_of_another_thread_has_its_wall(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connections.settings["owner"], "SQL_WALL", sorted(MODULES))

        def work() -> None:
            with transaction.atomic("owner"):
                execute(connections["owner"], INTO_ALPHA)
                execute(connections["owner"], INTO_BETA)

        assert isinstance(self.run_in_a_thread(work), SqlWallBreached)

    def test_a_wrapper_added_by_hand_would_miss_it(self) -> None:
        def work() -> None:
            execute(connections["owner"], BOTH)

        with connections["owner"].execute_wrapper(SqlWall(MODULES)):
            with pytest.raises(SqlWallBreached):
                work()
            assert self.run_in_a_thread(work) is None

    def test_remembers_breaches_that_the_code_swallowed(self, walled: DatabaseWrapper) -> None:
        breaches.clear()

        with pytest.raises(SqlWallBreached) as breach:
            execute(walled, BOTH)

        assert breaches == [breach.value]


@with_database
class TestFlush:
    STATEMENTS = ('TRUNCATE "alpha"."thing", "beta"."thing";',)

    def test_may_empty_all_schemas_at_once(self, walled: DatabaseWrapper) -> None:
        execute(walled, INTO_ALPHA)

        walled.ops.execute_sql_flush(self.STATEMENTS)

        assert written(walled) == [0, 0, 0]

    def test_leaves_the_wall_closed(self, walled: DatabaseWrapper) -> None:
        walled.ops.execute_sql_flush(self.STATEMENTS)

        with pytest.raises(SqlWallBreached):
            execute(walled, self.STATEMENTS[0])
