"""M8: a hold is taken and released for what it holds, and released once, whoever comes first."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from uuid import UUID

import pytest
from django.db import IntegrityError, connections, transaction

from ledger.domain.posting_rules import RELEASES, EntryType, MovementOfMoney
from ledger.models import Account, JournalEntry
from ledger.queries import find_imbalances
from ledger.tests.conftest import (
    MERCHANT,
    PROCESSOR,
    Story,
    balances,
    draft,
    post,
    write_entry,
)
from shared import db
from shared.testing.races import race
from shared.testing.refusals import violated, without_trigger

pytestmark = pytest.mark.django_db

HOLD_GUARD = ("ledger.journal_entry", "journal_entry_within_its_hold")
ONE_RELEASE, WITHIN_HOLD = "journal_entry_one_release_per_hold", "journal_entry_within_its_hold"
ROUNDS = 20


@pytest.fixture
def story() -> Story:
    """A payment of 100 whose hold is booked."""
    story = Story(amount_minor=100)
    post(story.authorised())
    return story


def attempt(*events: MovementOfMoney) -> str | None:
    """Post these one by one; the constraint that refuses one, if any."""
    try:
        for event in events:
            post(event)
    except IntegrityError as error:
        return db.violated_constraint(error)
    return None


def write(
    story: Story, entry_type: EntryType, minor: int, using: str = "default", **changes: object
) -> JournalEntry:
    """An entry of a story, by hand; its postings are of nobody's concern here."""
    debit, credit = (Account.objects.get(kind=key.kind) for key in (PROCESSOR, MERCHANT))
    lines = ((debit, minor), (credit, -minor))
    facts = {
        "correlation_id": story.correlation_id,
        "entry_type": entry_type,
        "amount_minor": minor,
        "total_minor": minor,
    }
    with transaction.atomic(using=using):
        return write_entry(*lines, using=using, **(facts | changes))


def released(story: Story) -> list[str]:
    return [e.entry_type for e in story.entries() if e.entry_type in RELEASES]


@contextmanager
def without_guards() -> Iterator[None]:
    """The naive twin: no index and no trigger, for every connection, until the block ends."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [ONE_RELEASE])
        ((index,),) = cursor.fetchall()
        cursor.execute(f"DROP INDEX ledger.{ONE_RELEASE}")
        cursor.execute(f"ALTER TABLE ledger.journal_entry DISABLE TRIGGER {WITHIN_HOLD}")
        try:
            yield
        finally:
            cursor.execute("TRUNCATE ledger.journal_entry, ledger.posting")
            cursor.execute(f"ALTER TABLE ledger.journal_entry ENABLE ALWAYS TRIGGER {WITHIN_HOLD}")
            cursor.execute(index)


class TestOneRelease:
    @pytest.mark.parametrize("first", RELEASES)
    @pytest.mark.parametrize("second", RELEASES)
    def test_per_hold_whatever_it_is_called(
        self, story: Story, first: EntryType, second: EntryType
    ) -> None:
        write(story, first, 50)
        assert violated(lambda: write(story, second, 50)) == ONE_RELEASE

    def test_a_repeated_event_is_no_second_release(self, story: Story) -> None:
        event = story.voided(100)
        assert [attempt(event), attempt(event, event)] == [None, None]
        assert released(story) == ["VOID"]
        assert find_imbalances() == []

    def test_void_twice_at_once_releases_once(self, story: Story) -> None:
        works = [partial(attempt, story.voided(100)) for _ in range(8)]
        assert sorted(race(works), key=str) == [None, *[ONE_RELEASE] * 7]
        assert released(story) == ["VOID"]
        assert find_imbalances() == []

    def test_needs_the_index(self, story: Story) -> None:
        # The naive twin: sums alone let a hold be released in two parts.
        with transaction.atomic(using="owner"):
            connections["owner"].cursor().execute(f"DROP INDEX ledger.{ONE_RELEASE}")
            for entry_type in (EntryType.VOID, EntryType.EXPIRY):
                write(story, entry_type, 50, using="owner")
            transaction.set_rollback(True, using="owner")


class TestWithinItsHold:
    def test_refuses_to_take_more(self, story: Story) -> None:
        write(story, EntryType.CAPTURE, 60)
        for entry_type in (EntryType.CAPTURE, *RELEASES):
            assert violated(partial(write, story, entry_type, 41)) == WITHIN_HOLD
        write(story, EntryType.CAPTURE, 40)

    def test_counts_no_other_story_and_no_other_currency(self, story: Story) -> None:
        other = Story(amount_minor=1_000)
        post(other.authorised())
        assert violated(lambda: write(story, EntryType.CAPTURE, 101)) == WITHIN_HOLD
        assert violated(lambda: write(story, EntryType.CAPTURE, 1, currency="EUR")) == WITHIN_HOLD

    def test_leaves_refunds_alone(self, story: Story) -> None:
        write(story, EntryType.REFUND, 1_000)

    def test_looks_at_all_entries_of_a_batch(self, story: Story) -> None:
        kinds = {"entry_type": EntryType.CAPTURE, "correlation_id": UUID(story.correlation_id)}
        drafts = [draft(MERCHANT, PROCESSOR, 51, **kinds) for _ in range(2)]
        with pytest.raises(IntegrityError), transaction.atomic():
            JournalEntry.objects.post(drafts, now=story.entries()[0].created_at)
        with transaction.atomic():
            JournalEntry.objects.post(drafts[:1], now=story.entries()[0].created_at)

    def test_needs_the_trigger(self, story: Story) -> None:
        # The naive twin: the index alone lets captures take any amount.
        with without_trigger(*HOLD_GUARD):
            write(story, EntryType.CAPTURE, 101, using="owner")


class TestExpiryRacingTheFinalCapture:
    """At a barrier, many rounds: one of them gets the hold, whole; the other one is refused."""

    def test_one_of_them_gets_the_hold(self) -> None:
        for _ in range(ROUNDS):
            story = Story(amount_minor=100)
            post(story.authorised())
            refusals = race(
                [
                    partial(attempt, story.captured(60, released=40)),
                    partial(attempt, story.expired(100)),
                ]
            )
            assert refusals.count(None) == 1, refusals
            kinds = [entry.entry_type for entry in story.entries()]
            assert kinds in (["AUTH", "CAPTURE", "RELEASE"], ["AUTH", "EXPIRY"])
        assert balances()[str(PROCESSOR)] == balances()[str(MERCHANT)] == 0
        assert find_imbalances() == []

    def test_would_release_twice_by_looking_first(self) -> None:
        # The naive twin: look whether it is released, then post. Both look before either posts.
        both_have_looked = threading.Barrier(2, timeout=10)
        story = Story(amount_minor=100)

        def look_and_post(event: MovementOfMoney) -> None:
            was_released = bool(released(story))
            both_have_looked.wait()
            if not was_released:
                post(event)

        works: list[Callable[[], None]] = [
            partial(look_and_post, story.captured(60, released=40)),
            partial(look_and_post, story.expired(100)),
        ]
        post(story.authorised())
        with without_guards():
            race(works)
            assert sorted(released(story)) == ["EXPIRY", "RELEASE"]
            assert [f.detail for f in find_imbalances() if f.what == "hold"] == [
                "holds 100 USD, captured 60, released 140 in 2"
            ]

        # And with the guards the same code is refused.
        post(story.authorised())
        with suppress(IntegrityError):
            race(works)
        assert len(released(story)) == 1
