"""That a socket inside a transaction fails a test, and that outside work needs none there."""

import socket
from collections.abc import Iterator

import pytest
from django.db import transaction

from payflow.tests import sockets

pytestmark = pytest.mark.django_db


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Something to connect to."""
    server = socket.create_server(("127.0.0.1", 0))
    yield server
    server.close()


class TestASocketInsideATransaction:
    def test_is_refused_and_remembered_even_if_the_error_is_swallowed(
        self, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            sockets.watched(monkeypatch) as opened,
            transaction.atomic(),
            socket.socket() as caller,
        ):
            with pytest.raises(sockets.SocketInsideTransaction):
                caller.connect(listening.getsockname())
            assert opened == [str(listening.getsockname())]

    def test_is_no_matter_outside_of_one(
        self, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with sockets.watched(monkeypatch) as opened:
            socket.create_connection(listening.getsockname()).close()
            assert opened == []
