"""A mail server that takes its time with each message, so that several workers get a share."""

import time
from collections.abc import Sequence

from django.core.mail import EmailMessage

from notifications.adapters import eml_files

SECONDS_EACH = 0.02
IN_USE = {"EMAIL_BACKEND": "payflow.tests.slow_mail.EmailBackend"}
"""What a worker has to be told."""


class EmailBackend(eml_files.EmailBackend):
    """Writes files, slowly."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send them one after the other."""
        time.sleep(SECONDS_EACH * len(email_messages))
        return super().send_messages(email_messages)
