"""What an operator may do to parked work, and that it is audited."""

import pytest

from shared import clock
from shared.event_bus import operating
from shared.event_bus._deliver import deliver_again
from shared.event_bus.operating import NotParked, ReasonRequired
from shared.models import Event, Publication
from shared.tests.event_bus.conftest import (
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


class TestSkip:
    def test_gives_the_event_up_and_lets_the_story_go_on(
        self, effects: Effects, parked_id: int
    ) -> None:
        effects.before = lambda events: None

        act(operating.skip, parked_id)
        while deliver_to_test():
            pass

        assert effects.numbers() == [1]
