"""What an operator may do to parked work, and that it is audited."""

from datetime import timedelta

import pytest

from shared import clock
from shared.event_bus import operating
from shared.event_bus._deliver import deliver_again
from shared.event_bus._outstanding import park
from shared.event_bus.operating import NotParked, ReasonRequired
from shared.models import Event, Publication
from shared.tests.event_bus.conftest import (
    LISTENER,
    Effects,
    action,
    deliver_to_test,
    outstanding,
    publish_committed,
)
from shared.tests.event_bus.test_deliver import fail_until_parked, raise_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def parked_id(effects: Effects) -> int:
    effects.before = raise_for(0)  # type: ignore[assignment]
    event = action(0)
    publish_committed(event, action(1, event.correlation_id))
    fail_until_parked()
    return int(outstanding("parked_at IS NOT NULL")[0]["id"])


def act(verb: object, row_id: int, reason: str = "fixed the listener") -> None:
    verb(Publication, [row_id], actor="ada", reason=reason, now=clock.now())  # type: ignore[operator]


def put_off(row_id: int) -> None:
    """As a claim does with what waits behind a parked head."""
    later = clock.now() + timedelta(minutes=1)
    Publication.objects.filter(pk=row_id).update(due_at=later)


def retry_all(listener_id: str | None = None) -> int:
    facts = {"actor": "ada", "reason": "fixed", "now": clock.now()}
    return operating.retry_all(listener_id=listener_id, **facts)  # type: ignore[arg-type]


class TestRetry:
    def test_lets_the_story_go_on(self, effects: Effects, parked_id: int) -> None:
        effects.before = lambda events: None

        act(operating.retry, parked_id)
        while deliver_again() or deliver_to_test():
            pass

        assert effects.numbers() == [0, 1]

    def test_is_published_for_the_audit(self, parked_id: int) -> None:
        act(operating.retry, parked_id)

        payload = Event.objects.latest("sequence").payload
        assert payload["action"] == "shared.publication.retry"
        assert payload["actor"] == "ada"
        assert payload["reason"] == "fixed the listener"

    def test_refuses_what_is_not_parked(self, effects: Effects) -> None:
        publish_committed(action(0))

        with pytest.raises(NotParked):
            act(operating.retry, outstanding()[0]["id"])

    def test_refuses_to_act_without_a_reason(self, parked_id: int) -> None:
        with pytest.raises(ReasonRequired):
            act(operating.retry, parked_id, reason="  ")

        assert outstanding("parked_at IS NOT NULL")

    def test_makes_what_was_put_off_behind_it_due_at_once(self, parked_id: int) -> None:
        (follower,) = outstanding("parked_at IS NULL")
        put_off(follower["id"])

        act(operating.retry, parked_id)

        assert not outstanding("due_at > clock_timestamp()")

    def test_leaves_other_stories_where_they_are(self, parked_id: int) -> None:
        publish_committed(action(7))
        other = outstanding("parked_at IS NULL")[-1]
        put_off(other["id"])

        act(operating.retry, parked_id)

        assert [row["id"] for row in outstanding("due_at > clock_timestamp()")] == [other["id"]]


class TestRetryAll:
    def test_takes_every_parked_one_of_a_listener_in_batches(
        self, effects: Effects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operating, "BATCH_SIZE", 2)
        publish_committed(*(action(number) for number in range(5)))
        park(Publication, [row["id"] for row in outstanding()], "ValueError: broken")
        others = Publication.objects.exclude(listener_id=LISTENER)
        park(Publication, list(others.values_list("pk", flat=True)), "not now")

        assert retry_all(LISTENER) == 5

        assert not outstanding("parked_at IS NOT NULL")
        assert others.filter(parked_at=None).count() == 3  # the three batches, told to the audit
        deliver_to_test()
        assert sorted(effects.numbers()) == [0, 1, 2, 3, 4]

    def test_takes_those_of_all_listeners(self, effects: Effects) -> None:
        publish_committed(action(0))
        ids = list(Publication.objects.values_list("pk", flat=True))
        park(Publication, ids, "ValueError: broken")

        assert retry_all() == len(ids)

    def test_refuses_to_act_without_a_reason(self, parked_id: int) -> None:
        with pytest.raises(ReasonRequired):
            operating.retry_all(actor="ada", reason="", now=clock.now())

        assert outstanding("parked_at IS NOT NULL")


class TestSkip:
    def test_gives_the_event_up_and_lets_the_story_go_on(
        self, effects: Effects, parked_id: int
    ) -> None:
        effects.before = lambda events: None

        act(operating.skip, parked_id)
        while deliver_to_test():
            pass

        assert effects.numbers() == [1]

    def test_makes_what_was_put_off_behind_it_due_at_once(self, parked_id: int) -> None:
        (follower,) = outstanding("parked_at IS NULL")
        put_off(follower["id"])

        act(operating.skip, parked_id)

        assert not outstanding("due_at > clock_timestamp()")
