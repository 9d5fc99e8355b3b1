"""The books: what PostgreSQL refuses, whoever asks (M1, M2, M3, M9)."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from uuid import UUID

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from ledger.domain.posting_rules import AccountKey
from ledger.models import Account, JournalEntry, Posting
from ledger.queries import find_imbalances
from ledger.tests.conftest import (
    IN_EUROS,
    MERCHANT,
    NOW,
    PROCESSOR,
    Story,
    account,
    add_postings,
    balances,
    draft,
    write_entry,
)
from ledger.use_cases.post_movements import post_movements
from shared import db
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR
from shared.postgres.operations import enable_truncate_triggers
from shared.testing.races import race
from shared.testing.refusals import constraint_names, refused_state, violated, without_trigger

pytestmark = pytest.mark.django_db

ENTRY_GUARD = ("ledger.journal_entry", "journal_entry_balances")
POSTING_GUARD = ("ledger.posting", "posting_balances")


def post(*pairs: tuple[AccountKey, AccountKey]) -> list[JournalEntry]:
    with db.transaction():
        return JournalEntry.objects.post([draft(*pair) for pair in pairs], now=NOW)


class Wrong:
    """Everything that must not commit, each written by hand."""

    def __init__(self, using: str = "default") -> None:
        self.debit, self.credit, self.euros = (account(k) for k in (PROCESSOR, MERCHANT, IN_EUROS))
        self.committed = post((PROCESSOR, MERCHANT))[0]
        self.using = using

    def ways(self) -> dict[str, Callable[[], object]]:
        """By name: each a transaction's worth of rows."""
        debit, credit, euros = self.debit, self.credit, self.euros
        write = partial(write_entry, using=self.using)
        good = ((debit, 100), (credit, -100))
        return {
            "two currencies": lambda: write((debit, 100), (euros, -100)),
            "a currency of neither account": lambda: write(*good, currency="EUR"),
            "no postings": write,
            "one unit short": lambda: write((debit, 100), (credit, -99)),
            "two debits": lambda: write((debit, 100), (credit, 100), total_minor=200),
            "fewer postings than declared": lambda: write(*good, postings_count=3),
            "more postings than declared": lambda: write(*good, (debit, 5), (credit, -5)),
            "another total than declared": lambda: write(*good, total_minor=101),
            "a balanced pair added later": lambda: add_postings(
                self.committed, (debit, 7), (credit, -7), using=self.using
            ),
            "a single posting added later": lambda: add_postings(
                self.committed, (debit, 7), using=self.using
            ),
        }


class TestBalancedEntries:
    def test_refuse_at_commit_what_does_not_balance(self) -> None:
        ways = Wrong().ways()
        for what, write in ways.items():
            assert violated(write) == "journal_entry_balances", what
        assert JournalEntry.objects.count() == 1
        assert Posting.objects.count() == 2

    def test_may_be_written_in_any_order_before_the_commit(self) -> None:
        debit, credit = account(PROCESSOR), account(MERCHANT)
        with transaction.atomic():
            entry = write_entry()
            add_postings(entry, (credit, -60), (credit, -40))
            JournalEntry.objects.count()
            with pytest.raises(DatabaseError), transaction.atomic():
                connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
        write_in_order = partial(write_entry, (credit, -60), (debit, 100), (credit, -40))
        with transaction.atomic():
            write_in_order(postings_count=3)
        assert JournalEntry.objects.get().postings.count() == 3

    def test_would_be_anything_without_the_triggers(self) -> None:
        # The naive twin: the sums checked in Python, where nobody who writes SQL passes by.
        for write in Wrong("owner").ways().values():
            with ExitStack() as rested:
                rested.enter_context(without_trigger(*POSTING_GUARD))
                rested.enter_context(without_trigger(*ENTRY_GUARD))
                write()

    def test_need_the_trigger_of_entries(self) -> None:
        # The naive twin: a trigger on postings never fires for an entry without any.
        ways = Wrong("owner").ways()
        with without_trigger(*ENTRY_GUARD):
            ways["no postings"]()

    def test_need_the_trigger_of_postings(self) -> None:
        # The naive twin: a trigger on entries never fires for what is added to one.
        ways = Wrong("owner").ways()
        with without_trigger(*POSTING_GUARD):
            ways["a balanced pair added later"]()
            ways["a single posting added later"]()


class TestConstraints:
    def test_of_entries_refuse_what_they_name(self) -> None:
        (known,) = post((PROCESSOR, MERCHANT))
        pair = ((account(PROCESSOR), 100), (account(MERCHANT), -100))
        write = partial(write_entry, *pair)
        breaks: dict[str, list[Callable[[], object]]] = {
            "journal_entry_once_per_event": [lambda: write(event_id=known.event_id)],
            "journal_entry_type_is_known": [lambda: write(entry_type="GIFT")],
            # More of it in test_holds.py.
            "journal_entry_one_release_per_hold": [self.releases_twice],
            "journal_entry_amount_within_limits": [
                lambda: write(amount_minor=0),
                lambda: write(amount_minor=MAX_AMOUNT_MINOR + 1, total_minor=MAX_AMOUNT_MINOR + 1),
            ],
            "journal_entry_has_two_sides": [
                lambda: write(postings_count=1),
                lambda: write(total_minor=99),
            ],
        }
        for name, ways in breaks.items():
            for way in ways:
                assert violated(way) == name
        assert set(breaks) == constraint_names(JournalEntry)

    def releases_twice(self) -> None:
        story = Story(amount_minor=2)
        post_movements(events=[story.authorised(), story.voided(1), story.expired(1)], now=NOW)

    def test_of_postings_refuse_both_sides_and_none(self) -> None:
        (entry,), booked = post((PROCESSOR, MERCHANT)), account(PROCESSOR)
        for debit, credit in ((1, 1), (0, 0), (-1, 0), (0, -1), (5, -5)):
            line = Posting(entry=entry, account=booked, debit_minor=debit, credit_minor=credit)
            assert violated(line.save) == "posting_on_one_side"
        assert constraint_names(Posting) == {"posting_on_one_side"}

    def test_of_accounts_refuse_what_they_name(self) -> None:
        known = account(PROCESSOR)
        again = Account.of(known.key, now=NOW)
        unknown = Account(kind="SLUSH", owner="x", currency="USD", created_at=NOW)
        assert violated(again.save) == "account_once_per_key"
        assert violated(unknown.save) == "account_kind_is_known"
        assert constraint_names(Account) == {"account_once_per_key", "account_kind_is_known"}


class TestImmutability:
    """M3: entries and postings refuse UPDATE, DELETE and TRUNCATE, by trigger and by role."""

    TABLES = ("journal_entry", "posting")
    CHANGES = ("UPDATE ledger.{} SET id = id", "DELETE FROM ledger.{}")

    @pytest.fixture(autouse=True)
    def booked(self) -> None:
        post((PROCESSOR, MERCHANT))

    def execute(self, statement: str, using: str) -> Callable[[], object]:
        return lambda: connections[using].cursor().execute(statement)

    def test_is_kept_by_triggers_even_against_the_owner(self) -> None:
        for table in self.TABLES:
            for change in self.CHANGES:
                way = self.execute(change.format(table), "owner")
                assert refused_state(way, "owner") == "23001", (table, change)

    def test_is_kept_by_triggers_against_truncate(self) -> None:
        with transaction.atomic(using="owner"):
            enable_truncate_triggers(connections["owner"])  # which the runner switched off
            for table in self.TABLES:
                way = self.execute(f"TRUNCATE ledger.{table} CASCADE", "owner")
                assert refused_state(way, "owner") == "23001", table
            transaction.set_rollback(True, using="owner")
        assert Posting.objects.count() == 2

    def test_by_row_triggers_alone_would_fall_to_truncate(self) -> None:
        # The naive twin: TRUNCATE fires no trigger of rows.
        with transaction.atomic(using="owner"):
            self.execute("TRUNCATE ledger.journal_entry CASCADE", "owner")()
            assert not Posting.objects.using("owner").exists()
            transaction.set_rollback(True, using="owner")

    def test_is_kept_by_the_role_that_serves(self) -> None:
        for table in self.TABLES:
            for change in (*self.CHANGES, "TRUNCATE ledger.{} CASCADE"):
                way = self.execute(change.format(table), "default")
                assert refused_state(way) == "42501", (table, change)  # permission denied


class TestPost:
    def test_moves_each_balance_by_the_postings_behind_it(self) -> None:
        post((PROCESSOR, MERCHANT), (PROCESSOR, MERCHANT), (MERCHANT, PROCESSOR))
        assert balances() == {str(PROCESSOR): 100, str(MERCHANT): -100}
        assert find_imbalances() == []

    def test_posts_an_event_once_per_entry_type(self) -> None:
        first, second = draft(PROCESSOR, MERCHANT), draft(PROCESSOR, MERCHANT)
        for drafts in ([first], [first, second], [second], []):
            with db.transaction():
                JournalEntry.objects.post(drafts, now=NOW)
        assert JournalEntry.objects.count() == 2
        assert balances() == {str(PROCESSOR): 200, str(MERCHANT): -200}

    def test_posts_an_event_once_though_many_post_it_at_once(self) -> None:
        # M9, concurrently: whoever comes second has waited for the accounts and finds it posted.
        drafts = [draft(PROCESSOR, MERCHANT) for _ in range(5)]

        def run() -> int:
            with transaction.atomic():
                return len(JournalEntry.objects.post(drafts, now=NOW))

        assert sorted(race([run] * 8)) == [0] * 7 + [5]
        assert balances() == {str(PROCESSOR): 500, str(MERCHANT): -500}
        assert find_imbalances() == []

    def test_without_the_unique_key_a_repeated_event_would_be_booked_twice(self) -> None:
        # The naive twin of M9, in a transaction that is taken back.
        event_id = new_id()
        pair = ((account(PROCESSOR), 100), (account(MERCHANT), -100))
        with transaction.atomic(using="owner"):
            connections["owner"].cursor().execute(
                "ALTER TABLE ledger.journal_entry DROP CONSTRAINT journal_entry_once_per_event"
            )
            for _ in range(2):
                write_entry(*pair, using="owner", event_id=event_id)
            found = JournalEntry.objects.using("owner").filter(event_id=event_id).count()
            transaction.set_rollback(True, using="owner")
        assert found == 2

    def test_writes_each_account_once_however_many_entries_move_it(self) -> None:
        def cost(count: int) -> tuple[int, int]:
            """Statements, and accounts written."""
            drafts = [draft(PROCESSOR, MERCHANT) for _ in range(count)]
            with transaction.atomic():
                before = updated_rows("account")
                with CaptureQueriesContext(connection) as queries:
                    JournalEntry.objects.post(drafts, now=NOW)
                return len(queries), updated_rows("account") - before

        cost(1)  # opens the accounts
        assert cost(100) == cost(1)
        assert cost(100)[1] == 2

    def test_opens_an_account_once_though_many_need_it_at_once(self) -> None:
        assert len(race([partial(post, (PROCESSOR, MERCHANT))] * 8)) == 8
        assert balances() == {str(PROCESSOR): 800, str(MERCHANT): -800}


def updated_rows(table: str) -> int:
    """How many rows of a table this connection has updated, as far as it has not reported them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd FROM pg_stat_xact_user_tables"
            " WHERE schemaname = 'ledger' AND relname = %s",
            [table],
        )
        return int(cursor.fetchone()[0])


class TestConcurrentPosting:
    """M2: sixteen threads post in opposite directions on two accounts, while others look."""

    THREADS, ROUNDS = 16, 6

    def test_neither_deadlocks_nor_loses_nor_shows_anything_in_between(self) -> None:
        left = [self.THREADS]
        seen: list[list[object]] = []

        def write(debit: AccountKey, credit: AccountKey) -> None:
            try:
                for _ in range(self.ROUNDS):
                    post((debit, credit), (debit, credit))
            finally:
                left[0] -= 1

        def look() -> None:
            while left[0] > 0:
                seen.append(list(find_imbalances()))

        directions = [(PROCESSOR, MERCHANT), (MERCHANT, PROCESSOR)]
        works: list[Callable[[], None]] = [look]
        works += [partial(write, *directions[number % 2]) for number in range(self.THREADS)]
        race(works)

        assert seen
        assert not any(seen)
        assert find_imbalances() == []
        assert balances() == {str(PROCESSOR): 0, str(MERCHANT): 0}
        assert JournalEntry.objects.count() == 2 * self.THREADS * self.ROUNDS

    def test_by_read_and_write_would_lose_updates(self) -> None:
        # The naive twin: `account.balance_minor += …; account.save()` without a lock.
        pair = (account(PROCESSOR), 100), (account(MERCHANT), -100)
        all_have_read = threading.Barrier(4, timeout=10)

        def write() -> None:
            read = {booked: Account.objects.get(pk=booked.pk) for booked, _ in pair}
            all_have_read.wait()
            with transaction.atomic():
                write_entry(*pair)
                for booked, minor in pair:
                    read[booked].balance_minor += minor
                    read[booked].save(update_fields=["balance_minor"])

        race([write] * 4)

        assert balances() == {str(PROCESSOR): 100, str(MERCHANT): -100}
        assert {finding.what for finding in find_imbalances()} == {"balance"}

    def test_by_locking_as_they_come_would_deadlock(self) -> None:
        # The naive twin: accounts locked in the order of the postings.
        ids = [account(PROCESSOR).pk, account(MERCHANT).pk]
        both_hold_one = threading.Barrier(2, timeout=10)

        def write(first: UUID, second: UUID) -> str | None:
            try:
                with transaction.atomic():
                    Account.objects.select_for_update().get(pk=first)
                    both_hold_one.wait()
                    Account.objects.select_for_update().get(pk=second)
            except OperationalError as error:
                return db.sqlstate(error)
            return None

        outcomes = race([partial(write, *ids), partial(write, *reversed(ids))])
        assert sorted(map(str, outcomes)) == ["40P01", "None"]
