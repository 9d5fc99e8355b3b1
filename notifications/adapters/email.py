"""Rendering and sending an e-mail through the backend that settings name."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from notifications.models import Message


class _Mail(EmailMultiAlternatives):
    """An e-mail whose bytes are the same each time it is sent."""

    def message(self, **options: Any) -> Any:
        """
        The MIME message, its parts bounded by its id.

        Python would search every text for a boundary that does not occur, for an eighth of the time
        that an e-mail takes.
        """
        message = super().message(**options)
        boundary = str(self.extra_headers["Message-ID"]).strip("<>").partition("@")[0]
        message.set_boundary(f"=={boundary}==")
        return message


def send_email(message: Message) -> None:
    """Send a message as text and HTML. Raises what the mail server or the network raises."""
    name = f"notifications/{message.template}"
    mail = _Mail(
        subject=render_to_string(f"{name}.subject.txt", message.context).strip(),
        body=render_to_string(f"{name}.txt", message.context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.recipient],
        headers={"Message-ID": f"<{message.pk}@payflow>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"{name}.html", message.context), "text/html")
    mail.send()
