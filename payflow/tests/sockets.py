"""Q3: no socket is opened inside a transaction; PostgreSQL's own are opened by libpq, not here."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared import db


class SocketInsideTransaction(AssertionError):
    """A call to the outside would hold locks for as long as the other side pleases."""


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse connections inside transactions while the block runs, and collect them."""
    opened: list[str] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(address: Any) -> None:
        if db.in_transaction():
            opened.append(str(address))
            raise SocketInsideTransaction(f"connecting to {address}")

    def checked(self: socket.socket, address: Any) -> None:
        check(address)
        connect(self, address)

    def checked_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)
    monkeypatch.setattr(socket.socket, "connect_ex", checked_ex)
    yield opened
