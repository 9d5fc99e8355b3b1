"""A dispatcher's slots and its claims together: who gets no slot gets no lease either."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections, models
from django.test.utils import CaptureQueriesContext

from shared.event_bus import DISPATCHER, _outstanding, _perform, _registry
from shared.event_bus._outstanding import _THE_BEGINNING, Shore
from shared.event_bus._slots import Slots, Turn
from shared.event_bus.dispatcher import CALLS_AT_ONCE, Dispatcher
from shared.identifiers import new_id
from shared.models import Outstanding

pytestmark = pytest.mark.django_db

HALF, MOST = CALLS_AT_ONCE // 2, 3 * CALLS_AT_ONCE // 4
LOUD, QUIET = uuid4(), uuid4()
FLOOD = 3 * CALLS_AT_ONCE


class MerchantsErrand(Outstanding):
    """Outside work of merchants, in these tests."""

    id = models.UUIDField(primary_key=True, default=new_id)
    merchant_id = models.UUIDField()

    class Meta:
        app_label = "shared"
        managed = False
        db_table = '"public"."bus_test_merchants_errand"'


class Outside:
    """The outside world: calls do not end before they are let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.done: list[object] = []

    def run(self, row: MerchantsErrand) -> object:
        assert self.gate.wait(60)
        return row.pk

    def record(self, finished: Sequence[tuple[MerchantsErrand, object]]) -> None:
        self.done += [outcome for _, outcome in finished]


@pytest.fixture
def outside(transactional_db: None) -> Iterator[Outside]:
    outside = Outside()
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bus_test_merchants_errand")
        cursor.execute(
            "CREATE TABLE bus_test_merchants_errand (id uuid PRIMARY KEY, correlation_id uuid,"
            " merchant_id uuid, attempts smallint DEFAULT 0, ended smallint DEFAULT 0,"
            " failures smallint DEFAULT 0, due_at timestamptz DEFAULT clock_timestamp(),"
            " parked_at timestamptz, last_error text DEFAULT '',"
            " created_at timestamptz DEFAULT now())"
        )
        user = connection.settings_dict["USER"]
        cursor.execute(f"GRANT ALL ON bus_test_merchants_errand TO {user}")
    Shore.look_everywhere()
    yield outside
    outside.gate.set()
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE bus_test_merchants_errand")


@pytest.fixture
def errands(outside: Outside) -> _registry.Intent:
    return _registry.Intent(
        "test.errand",
        MerchantsErrand,
        DISPATCHER,
        outside.run,
        outside.record,
        lease_seconds=60,
        by_merchant=True,
    )


@pytest.fixture
def dispatcher(outside: Outside) -> Iterator[Callable[[], Dispatcher]]:
    made: list[Dispatcher] = []

    def make() -> Dispatcher:
        made.append(Dispatcher())
        return made[-1]

    yield make
    outside.gate.set()
    for one in made:
        one._calls.shutdown(wait=True)


def plan(merchant_id: UUID, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bus_test_merchants_errand (id, correlation_id, merchant_id)"
            " VALUES (%s, %s, %s)",
            [(uuid4(), uuid4(), merchant_id) for _ in range(count)],
        )


def settle(dispatcher: Dispatcher, entry: _registry.Intent) -> None:
    """What a dispatcher does each time it is rung, until there is nothing more to begin."""
    while dispatcher._start_calls(entry):
        pass


def leased() -> Counter[UUID]:
    rows = MerchantsErrand._default_manager.filter(attempts__gt=0)
    return Counter(rows.values_list("merchant_id", flat=True))


class TestOneDispatcher:
    def test_begins_a_neighbours_calls_however_many_somebody_else_planned(
        self, errands: _registry.Intent, dispatcher: Callable[[], Dispatcher]
    ) -> None:
        self.check(errands, dispatcher())

    def test_would_not_if_slots_were_nobodys(
        self, errands: _registry.Intent, dispatcher: Callable[[], Dispatcher]
    ) -> None:
        # The naive twin: whatever has been due the longest.
        with pytest.raises(AssertionError):
            self.check(replace(errands, by_merchant=False), dispatcher())

    def check(self, entry: _registry.Intent, dispatcher: Dispatcher) -> None:
        plan(LOUD, FLOOD)
        settle(dispatcher, entry)
        assert leased() == {LOUD: MOST}
        plan(QUIET, 5)
        settle(dispatcher, entry)
        assert leased() == {LOUD: MOST, QUIET: 5}

    def test_shares_by_halves_what_two_want(
        self, errands: _registry.Intent, dispatcher: Callable[[], Dispatcher]
    ) -> None:
        plan(LOUD, FLOOD)
        plan(QUIET, FLOOD)
        settle(dispatcher(), errands)
        assert leased() == {LOUD: HALF, QUIET: HALF}

    def test_comes_to_the_end_of_a_flood(
        self,
        errands: _registry.Intent,
        outside: Outside,
        dispatcher: Callable[[], Dispatcher],
    ) -> None:
        plan(LOUD, FLOOD)
        plan(QUIET, 7)
        outside.gate.set()
        one = dispatcher()
        while len(outside.done) < FLOOD + 7:
            one._record_finished(errands)
            one._start_calls(errands)
        assert leased() == {LOUD: FLOOD, QUIET: 7}
        assert set(MerchantsErrand._default_manager.values_list("attempts", flat=True)) == {1}

    def test_asks_once_while_slots_are_plenty(
        self, errands: _registry.Intent, dispatcher: Callable[[], Dispatcher]
    ) -> None:
        plan(LOUD, 3)
        plan(QUIET, 3)
        with CaptureQueriesContext(connection) as queries:
            dispatcher()._start_calls(errands)
        assert len(queries) == 1
        assert leased() == {LOUD: 3, QUIET: 3}


class TestTwoDispatchers:
    def test_keep_a_quarter_free_each(
        self, errands: _registry.Intent, dispatcher: Callable[[], Dispatcher]
    ) -> None:
        two = [dispatcher(), dispatcher()]
        plan(LOUD, FLOOD)
        for one in two:
            settle(one, errands)
        assert leased() == {LOUD: 2 * MOST}
        plan(QUIET, CALLS_AT_ONCE - MOST + 3)
        for one in two:
            settle(one, errands)
        assert leased() == {LOUD: 2 * MOST, QUIET: CALLS_AT_ONCE - MOST + 3}


class TestPassingOver:
    def test_does_not_walk_over_the_same_rows_again(self, errands: _registry.Intent) -> None:
        plan(LOUD, FLOOD)
        others = Turn(1, passed_over=frozenset({LOUD}))
        shore = Shore.of(errands.id)
        assert shore.since(others.passed_over) == _THE_BEGINNING
        assert _perform.claim(errands, others) == []
        newest: Any = MerchantsErrand._default_manager.latest("due_at").due_at
        assert newest - shore.since(others.passed_over) <= Shore._MARGIN

    def test_is_of_nobody_when_others_are_passed_over(self, errands: _registry.Intent) -> None:
        plan(LOUD, 1)
        everybody = Turn(1, passed_over=frozenset({LOUD, QUIET}))
        assert _perform.claim(errands, everybody) == []
        plan(QUIET, 1)
        (claimed,) = _perform.claim(errands, Turn(1, passed_over=frozenset({LOUD})))
        assert _perform.merchant_of(errands, claimed) == QUIET

    def test_finds_late_what_was_committed_late(self, errands: _registry.Intent) -> None:
        others = Turn(1, passed_over=frozenset({LOUD}))
        assert _perform.claim(errands, others) == []
        plan(QUIET, 1)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE bus_test_merchants_errand SET due_at = now() - interval '1 hour'"
            )
        assert _perform.claim(errands, others) == []
        Shore.of(errands.id)._look_at = 0.0  # a second later
        assert len(_perform.claim(errands, others)) == 1

    def test_finds_at_the_next_turn_what_was_committed_late_by_who_was_passed_over(
        self, errands: _registry.Intent
    ) -> None:
        plan(QUIET, 2)
        assert len(_perform.claim(errands, Turn(1))) == 1
        plan(LOUD, 1)
        make_late(LOUD)
        Shore.of(errands.id)._look_at = 0.0  # a second later
        assert len(_perform.claim(errands, Turn(1, passed_over=frozenset({LOUD})))) == 1
        assert len(_perform.claim(errands, Turn(1))) == 1

    def test_takes_one_full_look_a_second_however_many_take_turns(
        self, errands: _registry.Intent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_outstanding, "time", SimpleNamespace(monotonic=lambda: 1.0))
        for merchant_id in [uuid4() for _ in range(100)]:
            plan(merchant_id, 3)
        with CaptureQueriesContext(connection) as queries:
            take_turns(errands)
        looks = [query["sql"] for query in queries]
        assert len(looks) > 200
        assert sum(str(_THE_BEGINNING.date()) in look for look in looks) == 1


class TestShore:
    def test_begins_where_a_look_did_that_left_out_the_same_or_fewer(self) -> None:
        shore, hour = Shore(), timedelta(hours=1)
        first = datetime(2026, 1, 1, tzinfo=UTC) + Shore._MARGIN
        shore.since()
        shore.saw(first)
        shore.saw(first + hour, frozenset({LOUD}))
        shore.saw(first + 2 * hour, frozenset({LOUD, QUIET}))
        lefts_out: list[set[UUID]] = [set(), {QUIET}, {LOUD}, {LOUD, uuid4()}, {LOUD, QUIET}]
        begins = [shore.since(frozenset(left_out)) + Shore._MARGIN for left_out in lefts_out]
        assert [begin - first for begin in begins] == [0 * hour, 0 * hour, hour, hour, 2 * hour]

    def test_forgets_whom_looks_left_out_but_not_its_beginning(self) -> None:
        shore, first = Shore(), datetime(2026, 1, 1, tzinfo=UTC)
        listeners = Shore.of("a listener")
        shore.since()
        shore.saw(first)
        for _ in range(1_000):
            shore.since()
            shore.saw(first, frozenset({uuid4()}))
        assert len(shore._bounds) <= Shore._REMEMBERED + 1
        assert shore.since() == first - Shore._MARGIN
        assert Shore.of("a listener") is listeners


def make_late(merchant_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bus_test_merchants_errand SET due_at = now() - interval '1 hour'"
            " WHERE merchant_id = %s",
            [merchant_id],
        )


def take_turns(entry: _registry.Intent) -> None:
    """Take turns for all that is due while slots are short, as calls end one after the other."""
    slots, held = Slots(CALLS_AT_ONCE), deque[Any]()
    is_any_due = True
    while is_any_due:
        claimed = 0
        for turn in slots.turns():
            for claim in _perform.claim(entry, turn):
                claimed += 1
                held.append(_perform.merchant_of(entry, claim))
                slots.take(held[-1])
        is_any_due = claimed > 0
        for _ in range(min(2, len(held))):
            slots.give_back(held.popleft())
