"""The rules: a class for every kind, and no database anywhere."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud.domain import rules
from fraud.domain.rules import (
    KINDS,
    PARAMETERS,
    Facts,
    Rule,
    RuleKind,
    WholeNumber,
    amount_limit,
    blocklist,
    complaints,
    velocity,
)
from shared.money import EXPONENTS, MAX_AMOUNT_MINOR, parse_amount


def rule(kind: RuleKind, **parameters: Any) -> Rule:
    return Rule("under-test", kind, 50, parameters)


def payment(amount: str = "250.00", currency: str = "USD", **facts: Any) -> Facts:
    return Facts(parse_amount(amount, currency), currency, values={}, **facts)


class TestAmountLimit:
    limit = rule(RuleKind.AMOUNT_LIMIT, limit=10_000)

    @pytest.mark.parametrize(
        ("currency", "at_the_limit", "above"),
        [
            ("USD", "10000.00", "10000.01"),
            ("JPY", "10000", "10001"),
            ("KWD", "10000.000", "10000.001"),
        ],
    )
    def test_hits_from_the_smallest_unit_above_on(
        self, currency: str, at_the_limit: str, above: str
    ) -> None:
        assert amount_limit(self.limit, payment(at_the_limit, currency)) is None
        reason = f"amount above {at_the_limit} {currency}"
        assert amount_limit(self.limit, payment(above, currency)) == reason

    def test_is_replaced_by_the_limit_of_the_currency(self) -> None:
        limits = {"JPY": 1_500_000, "USD": 5_000}
        assert amount_limit(self.limit, payment("1500000", "JPY", limits_minor=limits)) is None
        assert amount_limit(self.limit, payment("1500001", "JPY", limits_minor=limits))
        reason = amount_limit(self.limit, payment("50.01", "USD", limits_minor=limits))
        assert reason == "amount above 50.00 USD"
        assert amount_limit(self.limit, payment("50.01", "EUR", limits_minor=limits)) is None

    def test_of_zero_hits_everything(self) -> None:
        assert amount_limit(self.limit, payment("0.01", "USD", limits_minor={"USD": 0}))

    def test_is_ten_thousand_when_nobody_said(self) -> None:
        unsaid = rule(RuleKind.AMOUNT_LIMIT)
        assert amount_limit(unsaid, payment("10000.00")) is None
        assert amount_limit(unsaid, payment("10000.01"))

    @given(st.sampled_from(sorted(EXPONENTS)), st.integers(1, MAX_AMOUNT_MINOR))
    def test_compares_major_units_exactly(self, currency: str, amount_minor: int) -> None:
        facts = Facts(amount_minor, currency, values={})
        hits = amount_limit(self.limit, facts) is not None
        assert hits == (amount_minor > 10_000 * 10 ** EXPONENTS[currency])


class TestVelocity:
    ten_in_ten_minutes = rule(RuleKind.VELOCITY, seconds=600, count=10)

    @pytest.mark.parametrize(("earlier", "hits"), [(0, False), (8, False), (9, True), (50, True)])
    def test_hits_from_the_counted_payment_on(self, earlier: int, hits: bool) -> None:
        reason = velocity(self.ten_in_ten_minutes, payment(recent={600: earlier}))
        assert reason == ("10 payments with one instrument within 600 s" if hits else None)

    def test_looks_at_its_own_window_only(self) -> None:
        assert velocity(self.ten_in_ten_minutes, payment(recent={60: 50, 600: 1})) is None

    def test_of_one_hits_the_first(self) -> None:
        assert velocity(rule(RuleKind.VELOCITY, seconds=60, count=1), payment())


class TestBlocklist:
    def test_hits_when_a_trait_is_listed(self) -> None:
        blocked = frozenset({("token", "tok_stolen"), ("payee", "p")})
        reason = blocklist(rule(RuleKind.BLOCKLIST), payment(blocked=blocked))
        assert reason == "payee, token on the blocklist"

    def test_never_says_the_value(self) -> None:
        blocked = frozenset({("token", "tok_stolen")})
        reason = blocklist(rule(RuleKind.BLOCKLIST), payment(blocked=blocked))
        assert reason == "token on the blocklist"

    def test_leaves_the_others_alone(self) -> None:
        assert blocklist(rule(RuleKind.BLOCKLIST), payment()) is None


class TestEveryKind:
    @pytest.mark.parametrize("kind", RuleKind)
    def test_has_a_class_of_tests_in_this_file(self, kind: RuleKind) -> None:
        name = "Test" + kind.title().replace("_", "")
        assert name in globals(), f"A rule of kind {kind} needs a class {name} here."

    def test_has_a_function_of_its_name_and_parameters(self) -> None:
        assert set(KINDS) == set(PARAMETERS) == set(RuleKind)
        for kind, function in KINDS.items():
            assert function is getattr(rules, kind.lower())
            assert (function.__doc__ or "").startswith("Hits ")

    @pytest.mark.parametrize("kind", RuleKind)
    def test_runs_with_whatever_it_may_be_configured_with(self, kind: RuleKind) -> None:
        known = PARAMETERS[kind].items()
        for extreme in ("minimum", "maximum"):
            parameters: dict[str, Any] = {name: getattr(limits, extreme) for name, limits in known}
            assert complaints(kind, parameters) == []
            for amount, currency in (("0.01", "USD"), ("1", "JPY"), ("999999999999.999", "KWD")):
                why = KINDS[kind](rule(kind, **parameters), payment(amount, currency))
                assert why is None or why


class TestComplaints:
    @pytest.mark.parametrize("kind", RuleKind)
    def test_are_made_of_anything_but_an_object_of_known_parameters(self, kind: RuleKind) -> None:
        bad: tuple[object, ...] = (None, [], "limit", 1, {"surprise": 1})
        for parameters in bad:
            assert complaints(kind, parameters)

    @pytest.mark.parametrize(
        ("kind", "name", "limits"),
        [(kind, name, limits) for kind in RuleKind for name, limits in PARAMETERS[kind].items()],
    )
    def test_are_made_of_anything_but_whole_numbers_within_limits(
        self, kind: RuleKind, name: str, limits: WholeNumber
    ) -> None:
        good = {other: known.minimum for other, known in PARAMETERS[kind].items()}
        for value in (limits.minimum, limits.maximum):
            assert complaints(kind, good | {name: value}) == []
        bad: tuple[object, ...] = (limits.minimum - 1, limits.maximum + 1, 1.5, "5", True, [], {})
        for wrong in bad:
            assert len(complaints(kind, good | {name: wrong})) == 1
        missing = {other: value for other, value in good.items() if other != name}
        assert bool(complaints(kind, missing)) is limits.is_required
