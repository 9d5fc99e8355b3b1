"""What the module reacts to: everything, once, in order, and without taking others along."""

import pytest

from audit.models import Record
from audit.tests.conftest import initiated
from shared.event_bus import drain
from shared.event_bus.standing import listener_ids
from shared.events.catalogue import contracts
from shared.events.operators import OperatorActionTaken
from shared.models import Event
from shared.testing.events import example, failed, publish_again, publish_committed

pytestmark = pytest.mark.django_db

LISTENER, TAKEN = "audit.record_event", "Operator.Action.Taken"


def taken(**changes: object) -> OperatorActionTaken:
    """An event that nobody else reacts to."""
    return example(OperatorActionTaken, **changes)


class TestOnAnyEvent:
    def test_records_every_contract(self) -> None:
        assert LISTENER in listener_ids()
        events = [example(contract) for contract in contracts()]
        publish_committed(*events)
        drain()
        # And what the other modules had to say about them.
        recorded = Record.objects.values_list("event_id", flat=True)
        assert set(recorded) == set(Event.objects.values_list("event_id", flat=True))
        assert {str(event_id) for event_id in recorded} >= {event.event_id for event in events}

    def test_records_a_story_in_the_order_in_which_it_was_published(self) -> None:
        story = taken().correlation_id
        events = [taken(correlation_id=story) for _ in range(5)]
        for event in events:
            publish_committed(event, taken())
        drain()
        found = Record.objects.filter(correlation_id=story).order_by("id")
        assert [str(record.event_id) for record in found] == [event.event_id for event in events]

    def test_takes_every_event_once(self) -> None:
        publish_committed(*(taken() for _ in range(3)))
        drain()
        before = list(Record.objects.values())
        assert publish_again(LISTENER, TAKEN) == 3
        drain()
        assert list(Record.objects.values()) == before

    def test_takes_the_rest_of_a_batch_without_the_poison(self) -> None:
        poison = initiated(currency="ZZZ")  # which no payload can be shown in
        good = [taken(), taken()]
        publish_committed(good[0], poison, good[1])
        drain()
        recorded = {str(event_id) for event_id in Record.objects.values_list("event_id", flat=True)}
        assert recorded == {event.event_id for event in good}
        assert failed(LISTENER) == [poison.subject_id]
