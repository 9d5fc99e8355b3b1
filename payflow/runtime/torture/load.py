"""The load: merchants' payments from their beginning to a capture, a void or a refund."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from payflow.runtime.torture.client import PATIENCE, Demand, InsistentMerchant

_FOLLOW_SECONDS = 60
_LOOK_EVERY_SECONDS = 0.1
_AUTHORISED = ("AUTHORISED",)
_CAPTURED = ("CAPTURED", "PARTIALLY_CAPTURED")


class Load:
    """So many lanes, each carrying one payment after the other through its life."""

    def __init__(self, merchant: InsistentMerchant, *, lanes: int, seed: int) -> None:
        self._merchant = merchant
        self._stopping = threading.Event()
        self._demands: list[Demand] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}-{lane}"),), daemon=True)  # noqa: S311
            for lane in range(lanes)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Demand]:
        """Ask for nothing new, wait until all that was asked is answered; returns every demand."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=2 * PATIENCE.total_seconds)
        return list(self._demands)

    @property
    def acknowledged(self) -> int:
        """How many payments were accepted so far."""
        with self._lock:
            return sum(d.is_acknowledged and d.path == "/payments" for d in self._demands)

    def _run(self, dice: random.Random) -> None:
        while not self._stopping.is_set():
            self._live(dice)

    def _live(self, dice: random.Random) -> None:
        amount_minor = dice.randrange(1_000, 50_000)
        captures = dice.random() < 0.3  # noqa: PLR2004 - a mixture
        paid = self._demand("/payments", _payment(amount_minor, captures=captures))
        if not paid.is_acknowledged:
            return
        if not captures and self._reaches(paid, _AUTHORISED) and dice.random() < 0.8:  # noqa: PLR2004
            captures = self._end_hold(paid, amount_minor, dice)
        if captures and dice.random() < 0.5 and self._reaches(paid, _CAPTURED):  # noqa: PLR2004
            self._demand(_path(paid, "refund"), {"amount": _text(amount_minor // 4)})

    def _end_hold(self, paid: Demand, amount_minor: int, dice: random.Random) -> bool:
        """Capture or void what is held; True when it was a capture."""
        if dice.random() < 0.3:  # noqa: PLR2004
            self._demand(_path(paid, "void"), {})
            return False
        is_whole = dice.random() < 0.5  # noqa: PLR2004
        part = {} if is_whole else {"amount": _text(amount_minor // 2), "finalCapture": True}
        self._demand(_path(paid, "capture"), part)
        return True

    def _demand(self, path: str, body: dict[str, Any]) -> Demand:
        demand = Demand(path, body)
        if path != "/payments" and self._stopping.is_set():
            return demand  # nothing new: not sent, not counted
        with self._lock:
            self._demands.append(demand)
        self._merchant.settle(demand)
        return demand

    def _reaches(self, paid: Demand, statuses: tuple[str, ...]) -> bool:
        def is_there() -> bool:
            seen = self._merchant.find(f"/payments/{paid.payment_id}")
            return seen is not None and seen["status"] in statuses

        return self._until(is_there)

    def _until(self, holds: Callable[[], bool]) -> bool:
        give_up_at = time.monotonic() + _FOLLOW_SECONDS
        while not self._stopping.is_set() and time.monotonic() < give_up_at:
            if holds():
                return True
            self._stopping.wait(_LOOK_EVERY_SECONDS)
        return False


def _payment(amount_minor: int, *, captures: bool) -> dict[str, Any]:
    return {
        "payeeAccountId": str(uuid4()),
        "amount": _text(amount_minor),
        "currency": "USD",
        "paymentMethod": {"type": "CARD", "token": "tok_test"},
    } | ({"capture": True} if captures else {})


def _path(paid: Demand, verb: str) -> str:
    return f"/payments/{paid.payment_id}/{verb}"


def _text(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02}"
