"""Writing messages down: one per event, with all that its template needs."""

import pytest

from notifications.domain.templates import PREVIOUS_CONTACT, TEMPLATES
from notifications.models import Message
from notifications.use_cases.enqueue_messages import enqueue_messages
from shared.events.base import DomainEvent
from shared.events.merchants import MerchantAccountContactChanged
from shared.events.payments import PaymentTransactionAuthorised
from shared.testing.events import example
from shared.testing.races import race
from shared.testing.refusals import constraint_names, violated

pytestmark = pytest.mark.django_db


class TestEnqueueMessages:
    @pytest.mark.parametrize("event", TEMPLATES)
    def test_writes_down_what_to_tell_whom(self, event: type[DomainEvent]) -> None:
        happened = example(event)
        enqueue_messages(events=[happened])  # type: ignore[list-item]
        message = Message.objects.exclude(template=PREVIOUS_CONTACT).get()
        assert (message.template, message.recipient) == (TEMPLATES[event], "till@example.com")
        assert str(message.correlation_id) == happened.correlation_id
        assert str(message.merchant_id) == happened.merchant_id
        assert message.context == {**happened.payload(), "occurredAt": happened.occurred_at}
        assert message.due_at is not None
        assert message.sent_at is None

    def test_tells_of_another_address_at_both(self) -> None:
        happened = example(MerchantAccountContactChanged)
        for _ in range(2):
            enqueue_messages(events=[happened])
        written = Message.objects.order_by("template").values_list("template", "recipient")
        assert list(written) == [
            ("contact_changed", "till@example.com"),
            ("contact_changed_from", "old@example.com"),
        ]

    def test_leaves_alone_what_was_told_before(self) -> None:
        first, second = (example(PaymentTransactionAuthorised) for _ in range(2))
        for batch in ([first], [first, second], [second, first]):
            enqueue_messages(events=batch)
        assert Message.objects.count() == 2

    def test_told_twice_at_once_writes_once(self) -> None:
        events = [example(PaymentTransactionAuthorised) for _ in range(5)]
        race([lambda: enqueue_messages(events=events)] * 4)
        assert Message.objects.count() == 5

    def test_is_kept_unique_by_the_database(self) -> None:
        enqueue_messages(events=[example(PaymentTransactionAuthorised)])
        again = Message.objects.get()
        again.pk = None
        again._state.adding = True
        assert violated(again.save) == "message_once_per_event"
        assert constraint_names(Message) == {"message_once_per_event"}
