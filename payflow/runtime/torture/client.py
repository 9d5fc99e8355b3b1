"""A merchant who does not give up: every request is repeated, key and all, until it is answered."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from payflow.client import Client, NoAnswer, Patience

REQUEST_SECONDS = 20
PATIENCE = Patience(total_seconds=180, first_pause_seconds=0.1, longest_pause_seconds=1)
_WAIT_SECONDS = 2


@dataclass
class Demand:
    """One request under a key of its own, and what became of it."""

    path: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: str(uuid4()))
    errors: Counter[str] = field(default_factory=Counter)
    status: int = 0
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        """Whether there was an answer in the end."""
        return self.status != 0

    @property
    def is_acknowledged(self) -> bool:
        """Whether it was accepted."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success, as HTTP has it

    @property
    def payment_id(self) -> str:
        """The payment it is about, as the answer or the path says."""
        return str(self.document.get("paymentId") or self.path.split("/")[2])


class InsistentMerchant:
    """A merchant who counts what goes wrong until each demand is answered."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def settle(self, demand: Demand) -> None:
        """POST, again and again under the same key, until there is an answer or no patience."""
        with suppress(NoAnswer):
            answer = self._client.post(
                demand.path,
                demand.body,
                idempotency_key=demand.key,
                wait_seconds=_WAIT_SECONDS,
                on_retry=lambda reason: demand.errors.update([reason]),
            )
            if not answer.is_worth_repeating:
                demand.status, demand.document = answer.status, answer.document

    def find(self, path: str) -> dict[str, Any] | None:
        """A resource; None when it could not be had just now."""
        with suppress(NoAnswer):
            answer = self._client.get(path)
            return answer.document if answer.is_success else None
        return None
