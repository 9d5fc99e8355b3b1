"""E1: the event and its publications exist if, and only if, the change committed."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from shared.event_bus import PublishedOutsideTransaction, publish
from shared.models import Event, Publication
from shared.tests.event_bus.conftest import Effects, action, outstanding, publish_committed

pytestmark = pytest.mark.django_db


class TestPublish:
    def test_refuses_to_run_outside_a_transaction(self) -> None:
        with pytest.raises(PublishedOutsideTransaction):
            publish(action(1))

    def test_writes_the_event_and_one_publication_per_listener(self, effects: Effects) -> None:
        event = action(1)

        publish_committed(event)

        stored = Event.objects.get(event_id=event.event_id)
        assert stored.payload == event.stored()
        listening = set(Publication.objects.values_list("listener_id", flat=True))
        assert listening == {"test.effects", "audit.record_event"}

    def test_leaves_nothing_behind_when_the_transaction_rolls_back(self, effects: Effects) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish(action(1))
            raise ZeroDivisionError

        assert not Event.objects.exists()
        assert not Publication.objects.exists()

    def test_writes_many_events_with_one_statement_in_the_order_given(
        self, effects: Effects
    ) -> None:
        events = [action(number) for number in range(50)]

        with CaptureQueriesContext(connection) as queries:
            publish_committed(*events)

        assert len([q for q in queries if "INSERT" in q["sql"]]) == 1
        stored = Event.objects.order_by("sequence").values_list("payload__subject", flat=True)
        assert list(stored) == [str(number) for number in range(50)]
        assert len(outstanding()) == 50

    def test_accepts_no_event_at_all(self) -> None:
        with transaction.atomic():
            publish()
