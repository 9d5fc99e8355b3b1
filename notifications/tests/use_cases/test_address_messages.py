"""Where messages go once a merchant is written to elsewhere."""

from smtplib import SMTPRecipientsRefused
from typing import Any
from uuid import UUID

import pytest

from notifications.models import Contact, Message
from notifications.tests.conftest import MailServer, send
from notifications.use_cases.enqueue_messages import enqueue_messages
from notifications.use_cases.note_contact import note_contact
from shared.event_bus import drain
from shared.events.merchants import MerchantAccountContactChanged
from shared.events.payments import PaymentTransactionAuthorised, PaymentTransactionCaptured
from shared.identifiers import new_id
from shared.testing.events import example, failed, publish_again, publish_committed
from shared.testing.races import race

pytestmark = pytest.mark.django_db

MERCHANT = str(new_id())
LISTENER = "notifications.note_contact"


def moved(to: str, day: int = 1, **changes: Any) -> MerchantAccountContactChanged:
    """The merchant moved on a day of June."""
    facts = {"merchant_id": MERCHANT, "occurred_at": f"2026-06-{day:02}T00:00:00.000000Z"}
    return example(MerchantAccountContactChanged, merchant_email=to, **facts | changes)


def recipients(server: MailServer) -> list[str]:
    return [recipient for mail in server.taken for recipient in mail.to]


class TestNoteContact:
    def test_keeps_the_latest_whatever_is_heard_again_and_in_which_order(self) -> None:
        first, second = moved("one@example.com", 1), moved("two@example.com", 2)
        for events in ([first], [second], [first], [second, first]):
            note_contact(events=events)
        assert Contact.objects.get().email == "two@example.com"

    def test_keeps_the_latest_when_heard_at_once(self) -> None:
        events = [moved(f"{day}@example.com", day) for day in range(1, 7)]
        race([lambda event=event: note_contact(events=[event]) for event in events])  # type: ignore[misc]
        assert Contact.objects.get().email == "6@example.com"

    def test_would_go_back_without_looking_at_the_time(self) -> None:
        """The naive twin: whatever is heard last."""
        for event in (moved("two@example.com", 2), moved("one@example.com", 1)):
            row = Contact(UUID(MERCHANT), event.merchant_email, event.occurred_at)
            row.save()
        assert Contact.objects.get().email == "one@example.com"

    def test_is_heard_twice_with_the_effect_of_once(self, mail_server: MailServer) -> None:
        publish_committed(moved("one@example.com"))
        drain()
        assert publish_again(LISTENER, MerchantAccountContactChanged.event_type) == 1
        drain()
        assert Contact.objects.get().email == "one@example.com"

    def test_is_heard_without_the_poison(self, mail_server: MailServer) -> None:
        poison = moved("x@example.com", merchant_id=None)
        publish_committed(moved("one@example.com"), poison)
        drain()
        assert failed(LISTENER) == [poison.subject_id]
        assert Contact.objects.get().email == "one@example.com"


class TestAddressMessages:
    def test_go_to_the_new_address_though_their_event_carries_the_old(
        self, mail_server: MailServer
    ) -> None:
        note_contact(events=[moved("new@example.com")])
        enqueue_messages(events=[example(PaymentTransactionCaptured, merchant_id=MERCHANT)])
        send()
        assert recipients(mail_server) == ["new@example.com"]
        assert Message.objects.get().recipient == "new@example.com"

    def test_that_nobody_took_go_there_too(self, mail_server: MailServer) -> None:
        mail_server.errors = [SMTPRecipientsRefused({})] * 3
        enqueue_messages(events=[example(PaymentTransactionAuthorised, merchant_id=MERCHANT)])
        send(3)
        note_contact(events=[moved("new@example.com")])
        send()
        assert recipients(mail_server) == ["new@example.com"]

    def test_about_the_change_go_where_they_were_addressed(self, mail_server: MailServer) -> None:
        change = moved("new@example.com", previous_email="old@example.com")
        enqueue_messages(events=[change])
        note_contact(events=[change, moved("later@example.com", 2)])
        send()
        assert sorted(recipients(mail_server)) == ["new@example.com", "old@example.com"]

    def test_of_others_go_where_they_went(self, mail_server: MailServer) -> None:
        note_contact(events=[moved("new@example.com")])
        enqueue_messages(events=[example(PaymentTransactionAuthorised)])
        send()
        assert recipients(mail_server) == ["till@example.com"]
