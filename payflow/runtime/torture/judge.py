"""
The judge: what was lost, what happened twice, what came in the wrong order.

It looks at plain rows and trusts no constraint of the database: what a unique key would refuse is
counted all the same.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from payflow.runtime.torture.evidence import Evidence, Row

_MOVED = {
    "AUTHORISE": "authorised_minor",
    "CAPTURE": "captured_minor",
    "REFUND": "refunded_minor",
}
_POSTED = {
    "Payment.Transaction.Authorised": "AUTH",
    "Payment.Transaction.Captured": "CAPTURE",
    "Payment.Transaction.Voided": "VOID",
    "Payment.Transaction.Refunded": "REFUND",
}
_TOLD = frozenset({*_POSTED, "Payment.Transaction.Declined", "Payment.Transaction.Failed"})


@dataclass
class Findings:
    """What gave, in words."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Requests without an answer, or refused; work that is still open or parked."""

    def __iter__(self) -> Iterator[str]:
        """All of them."""
        for kind, texts in vars(self).items():
            yield from (f"{kind}: {text}" for text in texts)


def judge(evidence: Evidence) -> Findings:
    """Compare what was acknowledged, what we wrote and what the acquirer wrote."""
    return Findings(
        lost=[*_lost_demands(evidence), *_lost_effects(evidence)],
        doubled=list(_doubled(evidence)),
        disordered=list(_disordered(evidence)),
        unbalanced=[row["what"] for row in evidence.imbalances] + list(_other_amounts(evidence)),
        unfinished=list(_unfinished(evidence)),
    )


# Lost -------------------------------------------------------------------------------------------


def _lost_demands(evidence: Evidence) -> Iterator[str]:
    payments = {row["key"]: row for row in evidence.payments}
    operations = {row["key"]: row for row in evidence.operations if row["key"]}
    for demand in evidence.demands:
        if not demand.is_acknowledged:
            continue
        if demand.path != "/payments":
            if demand.key not in operations:
                yield f"{demand.path} under {demand.key} was acknowledged and is not there"
            continue
        row = payments.get(demand.key)
        if row is None or row["id"] != demand.payment_id:
            yield f"payment {demand.payment_id} was acknowledged and is not there"
        elif row["status"] == "PENDING":
            yield f"payment {demand.payment_id} was acknowledged and never decided"


def _lost_effects(evidence: Evidence) -> Iterator[str]:
    """Events that a listener has not had, by what it should have written."""
    recorded = {row["event_id"] for row in evidence.records}
    told = {row["event_id"] for row in evidence.messages}
    posted = {(row["event_id"], row["entry_type"]) for row in evidence.entries}
    assessed = {row["payment_id"] for row in evidence.assessments}
    for event in evidence.events:
        event_id, kind = event["event_id"], event["event_type"]
        name = f"{kind} of {event['subject']}"
        if event_id not in recorded:
            yield f"{name} is not in the trail"
        if kind in _TOLD and event_id not in told:
            yield f"{name} was not told to the merchant"
        if kind in _POSTED and (event_id, _POSTED[kind]) not in posted:
            yield f"{name} is not in the ledger"
        if kind == "Payment.Transaction.Initiated" and event["subject"] not in assessed:
            yield f"{name} was not assessed"


# Doubled ----------------------------------------------------------------------------------------


def _doubled(evidence: Evidence) -> Iterator[str]:
    approved = [line for line in evidence.book if line["status"] == "APPROVED"]
    holds = [line for line in approved if line["kind"] == "AUTHORISE"]
    once = [e for e in evidence.events if e["event_type"] in _ONCE]
    yield from _more_than_once("payments under key", evidence.payments, "key")
    yield from _more_than_once("operations under key", evidence.operations, "key")
    yield from _more_than_once("assessments of", evidence.assessments, "payment_id")
    yield from _more_than_once("holds in the acquirer's book of", holds, "merchantReference")
    yield from _more_than_once("lines in the acquirer's book under", approved, "key")
    yield from _more_than_once("entries of", evidence.entries, "event_id", "entry_type")
    yield from _more_than_once("messages about", evidence.messages, "event_id", "template")
    yield from _more_than_once("events numbered", evidence.events, "event_id")
    yield from _more_than_once("events of", once, "subject", "event_type")
    yield from _more_than_once("records of", evidence.records, "event_id")


_ONCE = frozenset(
    f"Payment.Transaction.{verb}"
    for verb in ("Initiated", "Authorised", "Declined", "Failed", "Captured", "Voided")
)
"""What happens once to a payment of this load, which captures at most once."""


def _more_than_once(what: str, rows: Iterable[Row], *columns: str) -> Iterator[str]:
    keys = [tuple(row[column] for column in columns) for row in rows]
    counted = Counter(key for key in keys if None not in key)
    for key, count in counted.items():
        if count > 1:
            yield f"{count} {what} {' '.join(map(str, key))}"


# In the wrong order -----------------------------------------------------------------------------


def _disordered(evidence: Evidence) -> Iterator[str]:
    """
    Effects of one listener that came before those of an earlier event of the same publisher.

    Of two modules' events in one story only cause is promised to come before what it caused: their
    numbers are drawn under different locks. Messages are sent side by side, too.
    """
    events = {row["event_id"]: row for row in evidence.events}
    effects = {
        "the trail": evidence.records,
        "the ledger": evidence.entries,
        "messages": evidence.messages,
    }
    for name, rows in effects.items():
        known = (events[row["event_id"]] for row in rows if row["event_id"] in events)
        yield from _inversions(name, known)


_BY_SUBJECT = frozenset({"Notification"})
"""Publishers whose rows are worked on side by side, also those of one story."""


def _inversions(name: str, events: Iterable[Row]) -> Iterator[str]:
    last: dict[tuple[str, str, str], Row] = {}
    for event in events:
        publisher = event["event_type"].split(".")[0]
        line = (event["story"], publisher, event["subject"] if publisher in _BY_SUBJECT else "")
        before = last.get(line)
        if before is not None and event["sequence"] < before["sequence"]:
            yield f"{name} of story {event['story']}: {_named(event)} after {_named(before)}"
        last[line] = event


def _named(event: Row) -> str:
    return f"{event['event_type']} #{event['sequence']}"


# Amounts ----------------------------------------------------------------------------------------


def _other_amounts(evidence: Evidence) -> Iterator[str]:
    """Payments of which we say something else than the acquirer's book."""
    moved: Counter[tuple[str, str]] = Counter()
    for line in evidence.book:
        if line["status"] == "APPROVED":
            moved[line["merchantReference"], line["kind"]] += line["amountMinor"]
    for payment in evidence.payments:
        for kind, column in _MOVED.items():
            theirs = moved[payment["id"], kind]
            if payment[column] != theirs:
                yield f"{kind} of {payment['id']}: we say {payment[column]}, the acquirer {theirs}"
        if payment["reserved_minor"]:
            yield f"{payment['id']} still reserves {payment['reserved_minor']}"


# Not at an end ----------------------------------------------------------------------------------


def _unfinished(evidence: Evidence) -> Iterator[str]:
    for demand in evidence.demands:
        if not demand.is_answered:
            yield f"{demand.path} under {demand.key} was never answered: {dict(demand.errors)}"
        elif not demand.is_acknowledged:
            code = demand.document.get("code", "")
            yield f"{demand.path} under {demand.key} was refused: {demand.status} {code}"
    for row in evidence.outstanding:
        state = "parked" if row["parked"] else "open"
        last = row["last_error"].strip().splitlines()[-1:] or [""]
        yield f"{row['kind']} {row['what']} is {state} after {row['attempts']} claims {last[0]}"
