"""Recording what became of messages: with its event, for a batch."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from notifications.models import Message
from notifications.use_cases.enqueue_messages import enqueue_messages
from notifications.use_cases.record_messages import record_exhausted, record_sent
from shared import clock
from shared.events.payments import PaymentTransactionAuthorised
from shared.models import Event
from shared.testing.events import example, told

pytestmark = pytest.mark.django_db


def messages(count: int) -> list[Message]:
    enqueue_messages(events=[example(PaymentTransactionAuthorised) for _ in range(count)])
    return list(Message.objects.filter(sent_at=None).order_by("created_at", "id"))


class TestRecordSent:
    def test_notes_and_tells_when(self) -> None:
        now, batch = clock.now(), messages(3)
        record_sent(messages=batch, now=now)
        assert set(Message.objects.values_list("sent_at", flat=True)) == {now}
        events = Event.objects.filter(event_type="Notification.Message.Sent").order_by("sequence")
        assert [event.subject_id for event in events] == [message.pk for message in batch]
        assert [event.correlation_id for event in events] == [
            message.correlation_id for message in batch
        ]
        assert told("Notification.Message.Sent")[0] == {
            "template": "payment_authorised",
            "channel": "email",
            "cause_event_id": str(batch[0].event_id),
        }

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            batch = messages(count)
            with CaptureQueriesContext(connection) as queries:
                record_sent(messages=batch, now=clock.now())
            return len(queries)

        assert statements(50) == statements(1)


class TestRecordExhausted:
    def test_tells(self) -> None:
        (message,) = messages(1)
        with transaction.atomic():
            record_exhausted(message=message, now=clock.now())
        assert len(told("Notification.Delivery.Exhausted")) == 1
