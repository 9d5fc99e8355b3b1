"""
The rules: each looks at the facts of a payment and says why it hits, or nothing.

To add a rule, write a function here, name it in `KINDS`, and create a row of that kind in the
admin. Its weight, its parameters and whether it is switched on are data of that row.
Say in `PARAMETERS` what it may be configured with: no rule ever runs with anything else.
`fraud/tests/domain/test_rules.py` has a test for every kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fraud import conf
from shared.money import EXPONENTS, format_amount


class RuleKind(StrEnum):
    """What a rule looks at."""

    AMOUNT_LIMIT = "AMOUNT_LIMIT"
    VELOCITY = "VELOCITY"
    BLOCKLIST = "BLOCKLIST"


@dataclass(frozen=True)
class Facts:
    """What the rules may know about a payment, gathered before they run."""

    amount_minor: int
    currency: str
    values: Mapping[str, str]
    """The payment's traits by name: `payee`, `token`, `merchant`."""
    recent: Mapping[int, int] = field(default_factory=dict)
    """Window in seconds → the merchant's earlier payments with the same instrument in it."""
    blocked: frozenset[tuple[str, str]] = frozenset()
    """The (trait, value) pairs of this payment that are on the blocklist."""
    limits_minor: Mapping[str, int] = field(default_factory=dict)
    """Limits per currency that replace a rule's own."""


@dataclass(frozen=True)
class Rule:
    """A configured rule: how much it weighs and with which parameters it runs."""

    name: str
    kind: RuleKind
    weight: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WholeNumber:
    """A parameter: a whole number between two limits, which a rule needs or can do without."""

    minimum: int
    maximum: int
    is_required: bool = True


Why = str | None


def amount_limit(rule: Rule, facts: Facts) -> Why:
    """Hits above a limit: the currency's own, or `limit` in major units of any currency."""
    major_units = int(rule.parameters.get("limit", 10_000))
    general_minor = major_units * 10 ** EXPONENTS[facts.currency]
    limit_minor = facts.limits_minor.get(facts.currency, general_minor)
    if facts.amount_minor <= limit_minor:
        return None
    return f"amount above {format_amount(limit_minor, facts.currency)} {facts.currency}"


def velocity(rule: Rule, facts: Facts) -> Why:
    """Hits from the `count`-th payment with one instrument within `seconds` on."""
    seconds, count = int(rule.parameters["seconds"]), int(rule.parameters["count"])
    if facts.recent.get(seconds, 0) + 1 < count:
        return None
    return f"{count} payments with one instrument within {seconds} s"


def blocklist(rule: Rule, facts: Facts) -> Why:
    """Hits when one of the payment's traits is on the blocklist."""
    traits = sorted(trait for trait, _ in facts.blocked)
    return f"{', '.join(traits)} on the blocklist" if traits else None


KINDS: dict[RuleKind, Callable[[Rule, Facts], Why]] = {
    RuleKind.AMOUNT_LIMIT: amount_limit,
    RuleKind.VELOCITY: velocity,
    RuleKind.BLOCKLIST: blocklist,
}

PARAMETERS: dict[RuleKind, dict[str, WholeNumber]] = {
    RuleKind.AMOUNT_LIMIT: {"limit": WholeNumber(1, 10**12, is_required=False)},
    RuleKind.VELOCITY: {
        "seconds": WholeNumber(1, int(conf.LONGEST_WINDOW.total_seconds())),
        "count": WholeNumber(1, 10_000),
    },
    RuleKind.BLOCKLIST: {},
}


def complaints(kind: RuleKind, parameters: object) -> list[str]:
    """What is wrong with parameters for a rule of this kind, in sentences; empty when nothing."""
    if not isinstance(parameters, dict):
        return ['Parameters are a JSON object, such as {"seconds": 600, "count": 10}.']
    known = PARAMETERS[kind]
    unknown = [f"{kind} takes no parameter {name!r}." for name in parameters if name not in known]
    return unknown + [
        f"{name!r} is a whole number from {number.minimum} to {number.maximum}."
        for name, number in known.items()
        if not _suits(number, parameters.get(name))
    ]


def _suits(number: WholeNumber, value: object) -> bool:
    if value is None:
        return not number.is_required
    # A JSON `true` is a Python int.
    return type(value) is int and number.minimum <= value <= number.maximum
