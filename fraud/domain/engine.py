"""The rule engine's entry point: `assess`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fraud.domain.rules import KINDS, Facts, Rule


class Decision(StrEnum):
    """What fraud has to say about a payment."""

    APPROVE = "APPROVE"
    REVIEW = "REVIEW"
    """An operator decides."""
    DECLINE = "DECLINE"


@dataclass(frozen=True)
class Hit:
    """A rule that hit, how much it weighs and why."""

    rule: str
    weight: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The outcome: `score` from 0 to 100, 100 being safest, and the rules behind it."""

    score: int
    decision: Decision
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Thresholds:
    """Scores up to `decline_up_to` are declined, up to `review_up_to` reviewed."""

    decline_up_to: int
    review_up_to: int


def assess(facts: Facts, rules: Sequence[Rule], thresholds: Thresholds) -> Verdict:
    """Run every rule over the facts: 100 minus the weights of those that hit, not below 0."""
    hits = tuple(
        Hit(rule.name, rule.weight, reason)
        for rule in rules
        if (reason := KINDS[rule.kind](rule, facts)) is not None
    )
    score = max(0, 100 - sum(hit.weight for hit in hits))
    return Verdict(score, _decision(score, thresholds), hits)


def _decision(score: int, thresholds: Thresholds) -> Decision:
    if score <= thresholds.decline_up_to:
        return Decision.DECLINE
    if score <= thresholds.review_up_to:
        return Decision.REVIEW
    return Decision.APPROVE
