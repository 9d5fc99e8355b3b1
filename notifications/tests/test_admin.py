"""Messages in the admin."""

import pytest
from django.core import mail

from notifications.models import Message
from shared import clock
from shared.event_bus import drain
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def message() -> Message:
    registered_merchant(email="till@example.com").post("/payments", payment_body())
    drain()
    return Message.objects.get(template="payment_authorised")


class TestMessageAdmin:
    def test_shows_what_was_sent_to_whom(self, operator: OperatorClient, message: Message) -> None:
        assert "till@example.com" in text(operator.list(Message, state="done", q="TILL@"))
        assert '"amount": "250.00"' in text(operator.page(message))
        filtered = operator.list(Message, template="api_key_rotated")
        assert filtered.context["cl"].result_count == 0

    def test_retries_a_parked_message(self, operator: OperatorClient, message: Message) -> None:
        Message.objects.update(parked_at=clock.now(), due_at=None, failures=5)
        mail.outbox.clear()
        assert "Retry: 1 message." in operator.act("retry", message, state="parked")
        drain()
        assert len(mail.outbox) == 1

    def test_skips_a_parked_message(self, operator: OperatorClient, message: Message) -> None:
        Message.objects.update(parked_at=clock.now(), due_at=None, failures=5)
        assert "Skip: 1 message." in operator.act("skip", message, reason="merchant left")
        message.refresh_from_db()
        assert (message.parked_at, message.due_at) == (None, None)
        told = Event.objects.filter(event_type="Operator.Action.Taken").get()
        assert told.payload["action"] == "notifications.message.skip"

    def test_refuses_in_words_and_asks_for_a_reason(
        self, operator: OperatorClient, message: Message
    ) -> None:
        assert "Only parked work" in operator.act("skip", message)
        assert "Say why" in operator.act("skip", message, reason="")

    def test_withstands_and_refuses(self, operator: OperatorClient, message: Message) -> None:
        withstands_hostile_terms(operator, Message)
        refuses_changes(operator, message)
