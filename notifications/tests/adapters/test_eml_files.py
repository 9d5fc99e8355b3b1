"""One file per message, whatever the second and whoever sends."""

import os
import stat
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection
from django.test.utils import override_settings

BACKEND = "notifications.adapters.eml_files.EmailBackend"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    with override_settings(EMAIL_FILE_PATH=str(tmp_path / "mail")):
        yield tmp_path / "mail"


def send(identifier: str, subject: str = "Hello") -> None:
    headers = {"Message-ID": f"<{identifier}@payflow>"}
    message = EmailMessage(subject, "body", to=["a@example.com"], headers=headers)
    get_connection(BACKEND).send_messages([message])


class TestEmlFiles:
    def test_are_one_per_message(self, directory: Path) -> None:
        for number in range(50):
            send(f"message-{number}")

        assert len(list(directory.iterdir())) == 50

    def test_replace_themselves_when_sent_again(self, directory: Path) -> None:
        send("one", "first")
        send("one", "again")

        (file,) = directory.iterdir()
        assert message_from_bytes(file.read_bytes())["Subject"] == "again"

    def test_are_their_owners_alone(self, directory: Path) -> None:
        before = os.umask(0)  # as careless as can be
        try:
            send("one")
            send("one", "again")
        finally:
            os.umask(before)
        (file,) = directory.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700

    def test_stay_in_their_directory(self, directory: Path) -> None:
        send("../../etc/passwd")

        (file,) = directory.iterdir()
        assert file.parent == directory
