"""Sending as outside work: once, again after a failure, and given up after a day."""

from smtplib import SMTPServerDisconnected

import pytest
from django.db import connection

from notifications.models import Message
from notifications.tests.conftest import Died, MailServer, hasten, only_message, send
from notifications.use_cases.enqueue_messages import enqueue_messages
from shared import clock
from shared.event_bus import CELERY, drain, operating
from shared.events.payments import PaymentTransactionAuthorised
from shared.testing.events import example, told

pytestmark = pytest.mark.django_db

SENT, EXHAUSTED = "Notification.Message.Sent", "Notification.Delivery.Exhausted"
FAILURES = 1 + 4 + 24
"""The first try, the quick ones, and those by the hour."""


@pytest.fixture
def message() -> Message:
    """A message that is due."""
    enqueue_messages(events=[example(PaymentTransactionAuthorised)])
    return only_message()


class TestRunMessage:
    def test_sends_once_and_tells(self, message: Message, mail_server: MailServer) -> None:
        send(3)
        assert len(mail_server.taken) == len(told(SENT)) == 1
        message.refresh_from_db()
        assert message.sent_at is not None
        assert message.due_at is None

    def test_tries_again_after_ever_longer_pauses(
        self, message: Message, mail_server: MailServer
    ) -> None:
        mail_server.errors = [SMTPServerDisconnected("gone")] * 4
        for expected in (2, 4, 8, 16):
            drain(CELERY)
            assert 0.7 * expected < pause_seconds() < 1.3 * expected
            hasten()
        send()
        assert len(mail_server.taken) == len(told(SENT)) == 1
        message.refresh_from_db()
        assert (message.failures, message.last_error) == (4, "")
        assert told(EXHAUSTED) == []

    def test_tries_by_the_hour_for_a_day_after_that(
        self, message: Message, mail_server: MailServer
    ) -> None:
        """A mail server that is away for a night loses nothing and wakes nobody."""
        mail_server.errors = [SMTPServerDisconnected("gone")] * 28
        send(4)
        for _ in range(24):
            drain(CELERY)
            assert 2600 < pause_seconds() < 4600
            hasten()
        message.refresh_from_db()
        assert message.ended == message.attempts == 28  # or it would be parked as endless
        send()
        assert len(mail_server.taken) == len(told(SENT)) == 1
        assert told(EXHAUSTED) == []

    def test_is_parked_after_that_day_and_tells(
        self, message: Message, mail_server: MailServer
    ) -> None:
        mail_server.errors = [SMTPServerDisconnected("gone")] * (FAILURES + 4)
        send(FAILURES - 1)
        assert not Message.objects.filter(parked_at__isnull=False).exists()
        send(5)
        message.refresh_from_db()
        assert message.is_parked
        assert message.failures == FAILURES
        assert "SMTPServerDisconnected: gone" in message.last_error
        assert len(mail_server.errors) == 4
        (event,) = told(EXHAUSTED)
        assert event["cause_event_id"] == str(message.event_id)
        assert told(SENT) == []

    def test_is_sent_when_an_operator_retries(
        self, message: Message, mail_server: MailServer
    ) -> None:
        mail_server.errors = [SMTPServerDisconnected("gone")] * FAILURES
        send(FAILURES)
        operating.retry(Message, [message.pk], actor="olga", reason="back", now=clock.now())
        send()
        message.refresh_from_db()
        assert (message.is_parked, message.sent_at is None) == (False, False)
        assert len(mail_server.taken) == len(told(SENT)) == len(told(EXHAUSTED)) == 1

    def test_is_given_up_when_an_operator_skips(
        self, message: Message, mail_server: MailServer
    ) -> None:
        mail_server.errors = [SMTPServerDisconnected("gone")] * FAILURES
        send(FAILURES)
        operating.skip(Message, [message.pk], actor="olga", reason="left us", now=clock.now())
        send(2)
        assert mail_server.taken == []

    def test_sends_the_same_again_when_a_worker_died_before_it_recorded(
        self, message: Message, mail_server: MailServer
    ) -> None:
        mail_server.is_last_to_see_the_worker = True
        with pytest.raises(Died):
            send()
        mail_server.is_last_to_see_the_worker = False
        hasten()
        send()
        first, second = mail_server.taken
        assert first.message()["Message-ID"] == second.message()["Message-ID"]
        assert len(told(SENT)) == 1

    def test_takes_no_other_message_along(self, message: Message, mail_server: MailServer) -> None:
        poison = example(PaymentTransactionAuthorised, merchant_email="a@b.c\r\nBcc: x@y.z")
        good = [example(PaymentTransactionAuthorised) for _ in range(2)]
        enqueue_messages(events=[poison, *good])
        send(FAILURES + 1)
        assert len(mail_server.taken) == len(told(SENT)) == 3
        assert Message.objects.get(parked_at__isnull=False).event_id.hex == (
            poison.event_id.replace("-", "")
        )


def pause_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM due_at - now()) FROM notifications.message")
        return float(cursor.fetchone()[0])
