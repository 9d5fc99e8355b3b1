"""What the module reacts to: once, and without taking others along."""

import pytest

from notifications.domain.templates import TEMPLATES
from notifications.models import Message
from notifications.tests.conftest import MailServer
from shared.event_bus import drain
from shared.events.base import DomainEvent
from shared.events.merchants import MerchantApiKeyRotated
from shared.events.payments import PaymentTransactionAuthorised
from shared.testing.events import example, failed, publish_again, publish_committed, told

pytestmark = pytest.mark.django_db


def listener_to(event: type[DomainEvent]) -> str:
    return (
        "notifications.api_key_rotated"
        if event is MerchantApiKeyRotated
        else "notifications.tell_of_payment"
    )


class TestListeners:
    def test_send_one_message_for_every_event_that_is_worth_one(
        self, mail_server: MailServer
    ) -> None:
        publish_committed(*(example(event) for event in TEMPLATES))
        drain()
        assert {message.template for message in Message.objects.all()} == set(TEMPLATES.values())
        assert len(mail_server.taken) == len(TEMPLATES)

    def test_take_every_event_once(self, mail_server: MailServer) -> None:
        publish_committed(*(example(event) for event in TEMPLATES))
        drain()
        for event in TEMPLATES:
            assert publish_again(listener_to(event), event.event_type) == 1
        drain()
        assert Message.objects.count() == len(mail_server.taken) == len(TEMPLATES)
        assert len(told("Notification.Message.Sent")) == len(TEMPLATES)

    @pytest.mark.parametrize("event", [PaymentTransactionAuthorised, MerchantApiKeyRotated])
    def test_take_the_rest_of_a_batch_without_the_poison(
        self, event: type[DomainEvent], mail_server: MailServer
    ) -> None:
        poison = example(event, merchant_id=None)
        publish_committed(example(event), poison, example(event))
        drain()
        assert len(mail_server.taken) == 2
        assert failed(listener_to(event)) == [poison.subject_id]
