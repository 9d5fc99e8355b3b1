"""What the tests of the module begin with: a mail server that can be down."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection

from notifications.models import Message
from shared.event_bus import CELERY, drain


class Died(BaseException):
    """The worker ended: nothing after it ran."""


@dataclass
class MailServer:
    """Takes messages, or raises what it is told to."""

    errors: list[Exception] = field(default_factory=list)
    """One for each of the next connections."""
    taken: list[EmailMultiAlternatives] = field(default_factory=list)
    is_last_to_see_the_worker: bool = False

    def take(self, messages: list[EmailMultiAlternatives]) -> None:
        """Take them, and be the last to see the worker if told so."""
        if self.errors:
            raise self.errors.pop(0)
        for message in messages:
            message.message()  # builds the headers, as sending does
        self.taken += messages
        if self.is_last_to_see_the_worker:
            raise Died


server = MailServer()


class Backend(EmailBackend):
    """Django's own in memory, which can fail."""

    def send_messages(self, messages: Any) -> int:
        """Take them, or fail."""
        server.take(messages)
        return len(messages)


@pytest.fixture
def mail_server(settings: Any) -> MailServer:
    """The mail server that every message goes to."""
    settings.EMAIL_BACKEND = f"{__name__}.Backend"
    server.errors, server.taken, server.is_last_to_see_the_worker = [], [], False
    return server


def send(times: int = 1) -> None:
    """What a worker does, again after each pause."""
    for _ in range(times):
        drain(CELERY)
        hasten()


def hasten() -> None:
    """Let time pass: leases end, and what waits for its time is due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications.message SET due_at = now() WHERE due_at IS NOT NULL")


def only_message() -> Message:
    """The message there is."""
    return Message.objects.get()
