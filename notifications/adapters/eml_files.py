"""The sandbox's mail server: a directory with one `.eml` file per message."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class EmailBackend(BaseEmailBackend):
    """
    Writes each message into a file named after its `Message-ID`.

    A message that is sent again replaces itself, nobody ever reads half a file, and every mail
    program opens it. Django's own file backend names files by second and memory address, so that
    two messages may share one.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write them; returns how many."""
        directory = Path(settings.EMAIL_FILE_PATH)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for email in email_messages:
            message = email.message()
            name = _UNSAFE.sub("_", str(message["Message-ID"]).strip("<>").partition("@")[0])
            draft = directory / f".{name}.draft"
            _write_private(draft, message.as_bytes())
            draft.replace(directory / f"{name}.eml")
        return len(email_messages)


def _write_private(path: Path, content: bytes) -> None:
    # Mail shows who paid whom, and later carries links that let one in.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
