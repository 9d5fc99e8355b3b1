"""The operator's doors: the book to read, and the switches."""

import re
from http import HTTPStatus

from payflow.sandbox import wire
from payflow.sandbox.book import Book, Line
from payflow.sandbox.control import Chaos, Control
from payflow.sandbox.server import Reply, Request
from payflow.sandbox.times import iso

MAX_LINES = 5000
_DEFAULT_LINES = 1000
_LAST_SEQUENCE = 2**53
_GATE = re.compile(r"[a-z0-9_-]{1,80}")


class OperatorFace:
    """Serves `/book` and `/control/…`."""

    def __init__(self, book: Book, control: Control) -> None:
        self._book = book
        self._control = control

    def read_book(self, request: Request) -> Reply:
        """Answers a page of lines, oldest first; `next` is null at the end."""
        wire.check_method(request, "GET")
        after = wire.number_in_query(request, "after", 0, _LAST_SEQUENCE)
        limit = wire.number_in_query(request, "limit", _DEFAULT_LINES, MAX_LINES)
        lines = self._book.lines(after, limit)
        is_full = bool(lines) and len(lines) == limit
        page = [_line(line) for line in lines]
        return wire.reply(
            HTTPStatus.OK, {"lines": page, "next": lines[-1].sequence if is_full else None}
        )

    def handle(self, request: Request, parts: list[str]) -> Reply:
        """Answers a request below `/control/`."""
        match parts:
            case ["gates", name] if _GATE.fullmatch(name):
                return self._gate(request, name)
            case ["chaos"]:
                return self._set_chaos(request)
            case ["down"]:
                return self._set_down(request)
            case ["mute"]:
                return self._set_mute(request)
        return wire.error(HTTPStatus.NOT_FOUND, "not_found")

    def _gate(self, request: Request, name: str) -> Reply:
        if request.method != "GET":
            wire.check_method(request, "PUT")
            is_closed = wire.flag(wire.read_object(request), "closed")
            self._control.set_gate(name, is_closed=is_closed)
        is_closed, waiting = self._control.gate(name)
        return wire.reply(HTTPStatus.OK, {"closed": is_closed, "waiting": waiting})

    def _set_chaos(self, request: Request) -> Reply:
        wire.check_method(request, "PUT")
        content = wire.read_object(request)
        rate = content.get("unknownRate")
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
            raise wire.refused("invalid_unknownRate")
        seed = wire.whole(content, "seed", 0, _LAST_SEQUENCE)
        self._control.chaos = Chaos(rate, seed)
        return wire.reply(HTTPStatus.OK, {"unknownRate": rate, "seed": seed})

    def _set_down(self, request: Request) -> Reply:
        wire.check_method(request, "PUT")
        content = wire.read_object(request)
        acquirer = wire.text(content, "acquirer")
        is_down = wire.flag(content, "down")
        self._control.set_down(acquirer, is_down=is_down)
        return wire.reply(HTTPStatus.OK, {"acquirer": acquirer, "down": is_down})

    def _set_mute(self, request: Request) -> Reply:
        wire.check_method(request, "PUT")
        self._control.is_mute = wire.flag(wire.read_object(request), "on")
        return wire.reply(HTTPStatus.OK, {"on": self._control.is_mute})


def _line(line: Line) -> dict[str, object]:
    return {
        "sequence": line.sequence,
        "acquirer": line.acquirer,
        "kind": line.kind,
        "key": line.key,
        "merchantReference": line.merchant_reference,
        "reference": line.reference,
        "authorisation": line.authorisation,
        "amountMinor": line.amount_minor,
        "currency": line.currency,
        "status": line.status,
        "reason": line.reason,
        "at": iso(line.at),
    }
