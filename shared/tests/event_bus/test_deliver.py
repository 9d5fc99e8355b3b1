"""What `listener` promises: E3, E4, E6, E7, and the fence."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import pytest
from django.db import InternalError, OperationalError, connection, transaction
from psycopg import errors

from shared.event_bus import _deliver, _outstanding, _queue, _registry
from shared.event_bus._deliver import deliver_again, park_the_undeliverable
from shared.event_bus._queue import Queue
from shared.events.operators import OperatorActionTaken
from shared.identifiers import new_id
from shared.models import Publication
from shared.tests.event_bus.conftest import (
    LISTENER,
    Effects,
    action,
    deliver_to_test,
    hasten,
    outstanding,
    publish_committed,
)

pytestmark = pytest.mark.django_db


def raise_for(number: int) -> object:
    def before(events: Sequence[OperatorActionTaken]) -> None:
        if any(event.subject == str(number) for event in events):
            raise ValueError(f"cannot take {number}")

    return before


def fail_until_parked() -> None:
    deliver_to_test()
    for _ in range(_outstanding.FAILURES_UNTIL_PARKED):
        hasten()
        while deliver_again():
            pass


class TestBatches:
    def test_take_one_event_of_every_story_at_once(self, effects: Effects) -> None:
        publish_committed(*(action(number) for number in range(30)))

        assert deliver_to_test() == 30
        assert effects.batches == [30]
        assert sorted(effects.numbers()) == list(range(30))
        assert outstanding() == []

    def test_take_the_events_of_one_story_one_after_the_other(self, effects: Effects) -> None:
        story = new_id()
        publish_committed(*(action(number, story) for number in range(5)))

        while deliver_to_test():
            pass

        assert effects.batches == [1] * 5
        assert effects.numbers() == list(range(5))

    def test_are_limited(self, effects: Effects) -> None:
        publish_committed(*(action(n) for n in range(_queue.BATCH_SIZE + 1)))

        assert [deliver_to_test(), deliver_to_test()] == [_queue.BATCH_SIZE, 1]


class TestPoison:
    def test_does_not_take_the_rest_of_its_batch_along(self, effects: Effects) -> None:
        effects.before = raise_for(3)  # type: ignore[assignment]
        publish_committed(*(action(number) for number in range(10)))

        deliver_to_test()

        assert sorted(effects.numbers()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert [row["failures"] for row in outstanding()] == [1]

    def test_is_parked_after_five_failures_while_a_hundred_others_flow(
        self, effects: Effects
    ) -> None:
        effects.before = raise_for(0)  # type: ignore[assignment]
        publish_committed(*(action(number) for number in range(101)))

        fail_until_parked()
        deliver_to_test()

        (parked,) = outstanding()
        assert parked["failures"] == 5
        assert parked["parked_at"] is not None
        assert parked["due_at"] is None
        assert "ValueError: cannot take 0" in parked["last_error"]
        assert sorted(effects.numbers()) == list(range(1, 101))

    def test_makes_its_own_story_wait_and_no_other(self, effects: Effects) -> None:
        story = new_id()
        effects.before = raise_for(0)  # type: ignore[assignment]
        publish_committed(action(0, story), action(1, story), action(2))

        fail_until_parked()
        deliver_to_test()

        assert effects.numbers() == [2]
        assert len(outstanding()) == 2

    def test_waits_longer_after_every_failure(self, effects: Effects) -> None:
        effects.before = raise_for(0)  # type: ignore[assignment]
        publish_committed(action(0))
        waits = []

        deliver_to_test()
        for _ in range(4):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT EXTRACT(EPOCH FROM due_at - now()) FROM shared.publication"
                    " WHERE listener_id = %s",
                    [LISTENER],
                )
                waits.append(float(cursor.fetchone()[0]))
            hasten()
            deliver_again()

        for wait, expected in zip(waits, (2, 4, 8, 16), strict=True):
            assert 0.7 * expected < wait < 1.3 * expected


class TestTrouble:
    @pytest.mark.parametrize(
        "state", [errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable]
    )
    def test_of_the_database_is_no_failure(self, effects: Effects, state: type[Exception]) -> None:
        def trouble(events: Sequence[OperatorActionTaken]) -> None:
            raise OperationalError from state()

        effects.before = trouble
        publish_committed(action(0), action(1))
        deliver_to_test()
        assert {row["failures"] for row in outstanding()} == {0}

        effects.before = lambda events: None
        hasten()
        while deliver_again():
            pass
        assert sorted(effects.numbers()) == [0, 1]

    def test_rows_claimed_before_are_run_alone(self, effects: Effects) -> None:
        publish_committed(*(action(number) for number in range(3)))
        die_after_claiming()

        hasten()
        assert deliver_to_test() == 0
        while deliver_again():
            pass
        assert effects.batches == [1, 1, 1]

    def test_claims_without_an_end_park_a_row(self, effects: Effects) -> None:
        publish_committed(action(0))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shared.publication SET attempts = 25, due_at = now()")

        park_the_undeliverable()

        assert "25 times" in outstanding()[0]["last_error"]


class TestFence:
    def test_a_worker_that_lost_its_lease_changes_nothing(self, effects: Effects) -> None:
        publish_committed(action(0))
        zombies_claims = die_after_claiming()
        hasten()
        deliver_again()
        assert effects.numbers() == [0]

        _deliver._run(_registry.listeners[LISTENER], zombies_claims)

        assert effects.numbers() == [0]

    def test_a_repeated_claim_alone_would_double_the_effect(self, effects: Effects) -> None:
        # The naive twin: finishing without the fence.
        publish_committed(action(0))
        zombies_claims = die_after_claiming()
        hasten()
        deliver_again()

        effects.run([_deliver.restored_or_parked(claim) for claim in zombies_claims])  # type: ignore[misc]

        assert effects.numbers() == [0, 0]

    def test_effect_and_completion_in_two_transactions_would_double_it_too(
        self, effects: Effects
    ) -> None:
        # The naive twin: a registry that marks completion in a transaction of its own.
        publish_committed(action(0))
        (claim,) = die_after_claiming()
        with transaction.atomic():
            effects.run([_deliver.restored_or_parked(claim)])  # type: ignore[list-item]
        # … the worker dies here, before it marks …
        hasten()
        deliver_again()

        assert effects.numbers() == [0, 0]


class TestUndeliverable:
    def test_publications_of_an_unknown_listener_are_parked_after_a_minute(
        self, effects: Effects
    ) -> None:
        publish_committed(action(0))
        rename_listener_in_rows("test.renamed", age_seconds=10)
        park_the_undeliverable()
        assert not Publication.objects.filter(parked_at__isnull=False).exists()

        rename_listener_in_rows("test.renamed", age_seconds=61)
        park_the_undeliverable()

        parked = Publication.objects.get(listener_id="test.renamed")
        assert parked.is_parked
        assert "no listener" in parked.last_error

    def test_events_of_an_unknown_type_are_parked_when_nobody_knew_them_for_a_minute(
        self, effects: Effects
    ) -> None:
        publish_committed(action(0))
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO shared.event (event_id, event_type, version, correlation_id,"
                " subject_id, occurred_at, payload) SELECT gen_random_uuid(), 'Of.The.Future', 9,"
                " gen_random_uuid(), subject_id, occurred_at, payload FROM shared.event"
                " RETURNING sequence, correlation_id"
            )
            sequence, story = cursor.fetchone()
            cursor.execute(
                "INSERT INTO shared.publication (event_id, listener_id, correlation_id)"
                " VALUES (%s, %s, %s)",
                [sequence, LISTENER, story],
            )

        deliver_to_test()
        (waiting,) = outstanding()
        assert waiting["parked_at"] is None
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shared.publication SET attempts = 24, due_at = now()")
        while deliver_again():
            pass

        (parked,) = outstanding()
        assert "Of.The.Future.v9" in parked["last_error"]
        assert effects.numbers() == [0]


class TestManyWorkers:
    """E4: eight workers, bursts per story: effects follow the order of publication."""

    STORIES, BURST, WORKERS = 5, 40, 8

    def test_keep_every_story_in_order_and_double_nothing(self, effects: Effects) -> None:
        self.publish_bursts()

        self.run_workers(deliver_to_test)

        assert self.inversions(effects) == 0
        assert len(effects.rows()) == self.STORIES * self.BURST

    def test_the_naive_claim_does_not(self, effects: Effects) -> None:
        # SKIP LOCKED by identity alone, without asking for the head of a story.
        self.publish_bursts()

        self.run_workers(lambda: naive_delivery(effects))

        assert self.inversions(effects) > 0

    def publish_bursts(self) -> None:
        for _ in range(self.STORIES):
            story = new_id()
            for number in range(self.BURST):
                publish_committed(action(number, story))

    def run_workers(self, step: object) -> None:
        barrier = threading.Barrier(self.WORKERS)

        def work() -> None:
            barrier.wait()
            try:
                while outstanding("due_at <= now() + interval '1 hour'"):
                    step()  # type: ignore[operator]
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(self.WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

    def inversions(self, effects: Effects) -> int:
        numbers: dict[UUID, list[int]] = defaultdict(list)
        for story, number in effects.rows():
            numbers[story].append(number)
        return sum(
            later < earlier
            for story in numbers.values()
            for earlier, later in zip(story, story[1:], strict=False)
        )


def naive_delivery(effects: Effects) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT publication.id, event.correlation_id, event.payload ->> 'subject'"
            " FROM shared.publication JOIN shared.event ON sequence = publication.event_id"
            " WHERE listener_id = %s ORDER BY publication.id LIMIT 1"
            " FOR UPDATE OF publication SKIP LOCKED",
            [LISTENER],
        )
        for row_id, story, number in cursor.fetchall():
            cursor.execute("SELECT pg_sleep(random() * 0.004)")
            cursor.execute(
                f"INSERT INTO {effects.table} (event_id, story, number)"
                " VALUES (gen_random_uuid(), %s, %s)",
                [story, int(number)],
            )
            cursor.execute("DELETE FROM shared.publication WHERE id = %s", [row_id])


def die_after_claiming() -> list[_outstanding.Claim[_deliver.Facts]]:
    claims, _ = Queue.fresh(LISTENER).claim()
    return claims


def rename_listener_in_rows(name: str, *, age_seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shared.publication SET listener_id = %s,"
            " due_at = now() - make_interval(secs => %s) WHERE listener_id IN (%s, %s)",
            [name, age_seconds, LISTENER, name],
        )


class TestReports:
    def test_hold_whatever_text_an_error_has(self, effects: Effects) -> None:
        def fail(events: Sequence[OperatorActionTaken]) -> None:
            raise ValueError("half a pair \ud800 and \0")

        effects.before = fail
        publish_committed(action(0))

        deliver_to_test()

        (row,) = outstanding()
        assert row["failures"] == 1
        assert "\\ud800" in row["last_error"]

    @pytest.mark.parametrize("state", [errors.ReadOnlySqlTransaction, errors.DiskFull])
    def test_are_not_written_about_the_servers_trouble(
        self, effects: Effects, state: type[Exception]
    ) -> None:
        def trouble(events: Sequence[OperatorActionTaken]) -> None:
            raise InternalError from state()

        effects.before = trouble
        publish_committed(action(0))

        deliver_to_test()

        assert [row["failures"] for row in outstanding()] == [0]
