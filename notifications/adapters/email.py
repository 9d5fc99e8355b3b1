"""Rendering and sending an e-mail through the backend that settings name."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from notifications.models import Message


def send_email(message: Message) -> None:
    """Send a message as text and HTML. Raises what the mail server or the network raises."""
    name = f"notifications/{message.template}"
    mail = EmailMultiAlternatives(
        subject=render_to_string(f"{name}.subject.txt", message.context).strip(),
        body=render_to_string(f"{name}.txt", message.context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.recipient],
        headers={"Message-ID": f"<{message.pk}@payflow>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"{name}.html", message.context), "text/html")
    mail.send()
