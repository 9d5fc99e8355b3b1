"""What a message looks like, also when somebody wants it to look like something else."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import BadHeaderError, EmailMultiAlternatives
from django.db import transaction

from notifications.adapters.email import send_email
from notifications.domain.templates import PREVIOUS_CONTACT, TEMPLATES
from notifications.models import Message
from notifications.tests.conftest import MailServer
from notifications.use_cases.enqueue_messages import _messages
from shared.events.base import DomainEvent
from shared.events.merchants import MerchantAccountContactChanged
from shared.testing.events import example

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script>\r\nBcc: everybody@example.com\r\n\r\n{{ 7|add:7 }} & Söhne"
TOLD = {"amount", "currency", "paymentId", "reason", "apiKeyPrefix", "apiKeyExpiresAt"}
EVENTS: dict[str, Callable[..., Any]] = {
    name: lambda event=event, **changes: example(event, **changes)
    for event, name in TEMPLATES.items()
}


def sent(event: DomainEvent, server: MailServer) -> tuple[EmailMultiAlternatives, str, str]:
    """The mail about an event: itself, its text and its HTML."""
    send_email(_messages(event)[0])  # type: ignore[arg-type]
    (mail,) = server.taken
    ((html, kind),) = mail.alternatives
    assert kind == "text/html"
    return mail, str(mail.body), str(html)


class TestSendEmail:
    @pytest.mark.parametrize("template", EVENTS)
    def test_tells_it_as_text_and_as_html(self, template: str, mail_server: MailServer) -> None:
        mail, text, html = sent(EVENTS[template](merchant_name="Acme & Söhne"), mail_server)
        assert mail.to == ["till@example.com"]
        assert mail.subject
        assert "\n" not in mail.subject
        assert text.startswith("Hello Acme & Söhne,\n")
        assert "Hello Acme &amp; Söhne," in html
        for part in (text, html):
            assert "{{" not in part
            assert "None" not in part
            assert not re.search(r"   +</td>|<td>\s*</td>", part), "an empty fact"

    @pytest.mark.parametrize("template", EVENTS)
    def test_says_all_it_knows(self, template: str, mail_server: MailServer) -> None:
        event = EVENTS[template]()
        mail, text, html = sent(event, mail_server)
        facts: dict[str, Any] = event.payload()
        for name in (
            "amount",
            "currency",
            "paymentId",
            "reason",
            "apiKeyPrefix",
            "apiKeyExpiresAt",
            "previousKeyExpiresAt",
            "signedWithPrefix",
            "daysLeft",
        ):
            if name in facts:
                assert str(facts[name]) in text
                assert str(facts[name]) in html
        if "amount" in facts:
            assert "250.00 USD" in mail.subject

    @pytest.mark.parametrize("template", EVENTS)
    def test_shows_a_hostile_name_as_what_it_is(
        self, template: str, mail_server: MailServer
    ) -> None:
        mail, text, html = sent(EVENTS[template](merchant_name=HOSTILE), mail_server)
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert "{{ 7|add:7 }}" in text  # read as text, never as a template
        assert "14" not in text.split("Söhne")[0]
        headers = mail.message()
        assert headers["Bcc"] is None
        assert headers["To"] == "till@example.com"
        assert mail.recipients() == ["till@example.com"]

    def test_tells_the_previous_contact_without_the_new_address(
        self, mail_server: MailServer
    ) -> None:
        event = example(MerchantAccountContactChanged, merchant_name=HOSTILE)
        new, previous = _messages(event)
        assert (new.template, previous.template) == (TEMPLATES[type(event)], PREVIOUS_CONTACT)
        send_email(previous)
        (mail,) = mail_server.taken
        ((html, _),) = mail.alternatives
        assert mail.to == ["old@example.com"]
        for part in (str(mail.body), str(html)):
            assert "till@example.com" not in part
            assert "contact us at once" in part
        assert "<script" not in str(html)

    def test_would_run_the_script_without_escaping(self, mail_server: MailServer) -> None:
        # The naive twin: the text template sent as HTML.
        _, text, _ = sent(EVENTS["payment_authorised"](merchant_name=HOSTILE), mail_server)
        assert "<script>" in text

    @pytest.mark.parametrize("hostile", ["a@b.c\r\nBcc: x@y.z", "a@b.c\nSubject: hi"])
    def test_is_not_sent_to_an_address_with_a_line_break(
        self, hostile: str, mail_server: MailServer
    ) -> None:
        with pytest.raises(BadHeaderError):
            sent(EVENTS["payment_authorised"](merchant_email=hostile), mail_server)
        assert mail_server.taken == []

    def test_is_not_sent_with_a_line_break_in_its_subject(self, mail_server: MailServer) -> None:
        (message,) = _messages(EVENTS["payment_authorised"]())
        message.context["currency"] = "USD\r\nBcc: x@y.z"
        with pytest.raises(BadHeaderError):
            send_email(message)
        assert mail_server.taken == []

    def test_carries_the_same_message_id_however_often_it_is_sent(
        self, mail_server: MailServer
    ) -> None:
        (message,) = _messages(EVENTS["payment_authorised"]())
        with transaction.atomic():
            Message.objects.enqueue([message])
        stored = Message.objects.get()
        for _ in range(2):
            send_email(stored)
        identifiers = {mail.message()["Message-ID"] for mail in mail_server.taken}
        assert identifiers == {f"<{stored.pk}@payflow>"}

    def test_says_that_nobody_wrote_it(self, mail_server: MailServer) -> None:
        mail, _, _ = sent(EVENTS["payment_authorised"](), mail_server)
        headers = mail.message()
        assert headers["Auto-Submitted"] == "auto-generated"
        assert headers["From"] == "PayFlow <no-reply@payflow.localhost>"
