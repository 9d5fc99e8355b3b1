"""What the module reacts to: once, and without taking others along."""

from typing import Any

import pytest

from notifications.domain.templates import PREVIOUS_CONTACT, TEMPLATES, addressed
from notifications.models import Message
from notifications.tests.conftest import MailServer
from shared.event_bus import drain
from shared.events.base import DomainEvent
from shared.events.catalogue import contracts
from shared.events.merchants import MerchantApiKeyRevoked, MerchantApiKeyRotated, MerchantEvent
from shared.events.payments import PaymentEvent, PaymentTransactionAuthorised
from shared.testing.events import example, failed, publish_again, publish_committed, told

pytestmark = pytest.mark.django_db


EXAMPLES: list[Any] = [example(event) for event in TEMPLATES]
WORTH = sum(len(list(addressed(event))) for event in EXAMPLES)
"""How many messages one event of each kind makes."""


def listener_to(event: type[DomainEvent]) -> str:
    if issubclass(event, PaymentEvent):
        return "notifications.tell_of_payment"
    is_rotation = event.event_type == MerchantApiKeyRotated.event_type
    return "notifications.api_key_rotated" if is_rotation else "notifications.tell_of_account"


class TestListeners:
    def test_send_one_message_for_every_event_that_is_worth_one(
        self, mail_server: MailServer
    ) -> None:
        publish_committed(*(example(event) for event in TEMPLATES))
        drain()
        told = {message.template for message in Message.objects.all()}
        assert told == {*TEMPLATES.values(), PREVIOUS_CONTACT}
        assert len(mail_server.taken) == WORTH

    def test_take_every_event_once(self, mail_server: MailServer) -> None:
        publish_committed(*(example(event) for event in TEMPLATES))
        drain()
        for listener_id, event_type in {(listener_to(e), e.event_type) for e in TEMPLATES}:
            assert publish_again(listener_id, event_type) >= 1
        drain()
        assert Message.objects.count() == len(mail_server.taken) == WORTH
        assert len(told("Notification.Message.Sent")) == WORTH

    def test_miss_no_event_about_a_merchant(self) -> None:
        about = {e for e in contracts() if issubclass(e, MerchantEvent)}
        assert about <= set(TEMPLATES)

    @pytest.mark.parametrize(
        "event", [PaymentTransactionAuthorised, MerchantApiKeyRotated, MerchantApiKeyRevoked]
    )
    def test_take_the_rest_of_a_batch_without_the_poison(
        self, event: type[DomainEvent], mail_server: MailServer
    ) -> None:
        poison = example(event, merchant_id=None)
        publish_committed(example(event), poison, example(event))
        drain()
        assert len(mail_server.taken) == 2
        assert failed(listener_to(event)) == [poison.subject_id]
