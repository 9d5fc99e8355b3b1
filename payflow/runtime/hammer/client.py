"""A merchant that sends many signed requests at once, and follows each to its end."""

import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import urllib3

from payflow.client import Answer, Client, Patience

_REQUEST_SECONDS = 40
_WAIT_SECONDS = 30
_PATIENCE_SECONDS = 120
_LOOK_EVERY_SECONDS = 0.05
_UNDECIDED = 202
_DONE = (200, 201)
PATIENCE = Patience(_PATIENCE_SECONDS, _LOOK_EVERY_SECONDS, longest_pause_seconds=1)


@dataclass(frozen=True)
class Told:
    """What a request was answered in the end, and when it was under way (seconds of a clock)."""

    status: int
    document: dict[str, Any]
    began: float
    ended: float

    @property
    def is_done(self) -> bool:
        """Whether it was carried out: decided, and not refused."""
        return self.status in _DONE

    @property
    def code(self) -> str:
        """The refusal's code; empty for what was carried out."""
        return "" if self.is_done else str(self.document.get("code", self.status))

    def overlaps(self, other: "Told") -> bool:
        """Whether both were under way at one moment."""
        return self.began < other.ended and other.began < self.ended


class RacingMerchant:
    """A merchant who asks for one thing from many threads at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.server_errors: list[str] = []
        """Answers of 500 that the client hid by asking again; a race explains none of them."""

    def demand(self, path: str, **body: Any) -> Told:
        """
        POST under a key of its own until there is a final answer.

        One that is undecided is asked for again, under the same key.
        """
        body |= {"idempotencyKey": str(uuid4())}
        began = time.monotonic()
        answer = self._ask(path, body)
        give_up_at = began + _PATIENCE_SECONDS
        while answer.status == _UNDECIDED and time.monotonic() < give_up_at:
            time.sleep(_LOOK_EVERY_SECONDS)
            answer = self._ask(path, body)
        return Told(answer.status, answer.document, began, time.monotonic())

    def get(self, path: str) -> dict[str, Any]:
        """A resource. Raises: AssertionError for anything but 200."""
        answer = self._client.get(path)
        assert answer.status == 200, (answer.status, answer.body)  # noqa: PLR2004, S101
        document: dict[str, Any] = answer.document
        return document

    def _note_server_error(self, reason: str) -> None:
        if reason.startswith("500"):
            self.server_errors.append(f"the platform answered {reason}")

    def _ask(self, path: str, body: dict[str, Any]) -> Answer:
        return self._client.post(
            path, body, wait_seconds=_WAIT_SECONDS, on_retry=self._note_server_error
        )


class SandboxControl:
    """The acquirer's side: gates to hold calls at, and its book."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._http = urllib3.PoolManager(maxsize=64, retries=False, timeout=_REQUEST_SECONDS)

    def set_gate(self, name: str, *, is_closed: bool) -> None:
        """Close or open a gate."""
        body = json.dumps({"closed": is_closed}).encode()
        self._ask("PUT", f"/control/gates/{name}", body)

    def waiting_at(self, name: str) -> int:
        """How many calls are held at a gate."""
        return int(self._ask("GET", f"/control/gates/{name}")["waiting"])

    def position(self) -> int:
        """Where the book ends now."""
        lines = self.lines(after=0)
        return int(lines[-1]["sequence"]) if lines else 0

    def lines(self, *, after: int) -> list[dict[str, Any]]:
        """The book's lines behind a position, oldest first."""
        found: list[dict[str, Any]] = []
        place: int | None = after
        while place is not None:
            page = self._ask("GET", f"/book?after={place}&limit=1000")
            found += page["lines"]
            place = page["next"]
        return found

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        answer = self._http.request(method, self._url + path, body=body, headers=self._headers)
        assert answer.status == 200, (path, answer.status, answer.data[:200])  # noqa: PLR2004, S101
        return answer.json()
