"""Comparing what we say of payments with what the acquirer's book says."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any


class Oracle:
    """The lines of an acquirer's book, by the payment they belong to."""

    def __init__(self, lines: Iterable[dict[str, Any]]) -> None:
        self._moved: dict[str, Counter[str]] = defaultdict(Counter)
        self._approved: dict[str, Counter[str]] = defaultdict(Counter)
        self.refused = 0
        """Lines the acquirer had to refuse because we did not: each is a guard that failed."""
        for line in lines:
            reference, kind = line["merchantReference"], line["kind"]
            if line["status"] == "APPROVED":
                self._moved[reference][kind] += line["amountMinor"]
                self._approved[reference][kind] += 1
            elif line["status"] == "DECLINED" and kind != "AUTHORISE":
                self.refused += 1

    def problems(self, payment: dict[str, Any]) -> list[str]:
        """What is wrong with a payment, in the acquirer's eyes and beside its book."""
        moved, approved = self._moved[payment["paymentId"]], self._approved[payment["paymentId"]]
        ours = {
            "AUTHORISE": _minor(payment["authorisedAmount"]),
            "CAPTURE": _minor(payment["capturedAmount"]),
            "REFUND": _minor(payment["refundedAmount"]),
        }
        found = [
            f"{kind}: we say {ours[kind]}, the acquirer {moved[kind]}"
            for kind in ours
            if ours[kind] != moved[kind]
        ]
        if moved["CAPTURE"] > moved["AUTHORISE"]:
            found.append("captured more than was authorised")
        if moved["REFUND"] > moved["CAPTURE"]:
            found.append("refunded more than was captured")
        if approved["VOID"] > 1 or moved["VOID"] + moved["CAPTURE"] > moved["AUTHORISE"]:
            found.append("released twice, or what was captured")
        return found + _ledger_problems(payment)


def _ledger_problems(payment: dict[str, Any]) -> list[str]:
    entries = payment["ledgerEntries"]
    sums: Counter[str] = Counter()
    for entry in entries:
        sums[entry["type"]] += _minor(entry["amount"])
    releases = [entry for entry in entries if entry["type"] in ("VOID", "EXPIRY", "RELEASE")]
    released = sum(_minor(entry["amount"]) for entry in releases)
    found = []
    if len(releases) > 1:
        found.append("its hold was released more than once in the ledger")
    if sums["CAPTURE"] + released > sums["AUTH"]:
        found.append("more left its hold than was in it")
    if _minor(payment["ledgerBalance"]) != sums["CAPTURE"] - sums["REFUND"]:
        found.append("its ledger balance is not captured minus refunded")
    if sums["AUTH"] != _minor(payment["authorisedAmount"]):
        found.append("its hold is not in the ledger")
    return found


def _minor(amount: str) -> int:
    return int(Decimal(amount) * 100)
