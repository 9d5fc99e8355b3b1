"""The engine: weights become a score, a score becomes a decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud import conf
from fraud.domain.engine import Decision, Hit, Thresholds, assess
from fraud.domain.rules import Facts, Rule, RuleKind

THRESHOLDS = Thresholds(conf.DECLINE_UP_TO_SCORE, conf.REVIEW_UP_TO_SCORE)
SAFETY = [Decision.DECLINE, Decision.REVIEW, Decision.APPROVE]

FACTS = Facts(amount_minor=1_000_001, currency="USD", values={})
weights = st.integers(1, 100)


def hitting(weight: int, number: int = 0) -> Rule:
    return Rule(f"hits-{number}", RuleKind.AMOUNT_LIMIT, weight, {"limit": 10_000})


def silent(weight: int) -> Rule:
    return Rule("silent", RuleKind.BLOCKLIST, weight)


class TestAssess:
    def test_without_rules_is_safest(self) -> None:
        verdict = assess(FACTS, [], THRESHOLDS)
        assert (verdict.score, verdict.decision, verdict.hits) == (100, Decision.APPROVE, ())

    def test_takes_the_weight_of_what_hits_off(self) -> None:
        verdict = assess(FACTS, [hitting(30), silent(70), hitting(5, 1)], THRESHOLDS)
        assert verdict.score == 65
        assert verdict.hits == (
            Hit("hits-0", 30, "amount above 10000.00 USD"),
            Hit("hits-1", 5, "amount above 10000.00 USD"),
        )

    @pytest.mark.parametrize(
        ("weight", "decision"),
        [
            (39, Decision.APPROVE),
            (40, Decision.REVIEW),
            (79, Decision.REVIEW),
            (80, Decision.DECLINE),
            (100, Decision.DECLINE),
        ],
    )
    def test_decides_by_the_thresholds(self, weight: int, decision: Decision) -> None:
        assert assess(FACTS, [hitting(weight)], THRESHOLDS).decision == decision

    def test_takes_the_thresholds_it_is_given(self) -> None:
        for up_to, decision in ((0, Decision.APPROVE), (50, Decision.DECLINE)):
            assert assess(FACTS, [hitting(50)], Thresholds(up_to, up_to)).decision == decision

    @given(st.lists(weights, max_size=20), st.lists(weights, max_size=5))
    def test_scores_from_0_to_100(self, hits: list[int], misses: list[int]) -> None:
        rules = [hitting(weight) for weight in hits] + [silent(weight) for weight in misses]
        verdict = assess(FACTS, rules, THRESHOLDS)
        # The naive twin subtracts without a floor: three hits of 40 score −20.
        assert 0 <= verdict.score <= 100
        assert verdict.score == max(0, 100 - sum(hits))
        assert len(verdict.hits) == len(hits)

    @given(st.lists(weights, max_size=10), weights)
    def test_never_becomes_safer_by_one_more_hit(self, hits: list[int], more: int) -> None:
        before = assess(FACTS, [hitting(weight) for weight in hits], THRESHOLDS)
        after = assess(FACTS, [hitting(weight) for weight in (*hits, more)], THRESHOLDS)
        assert after.score <= before.score
        assert SAFETY.index(after.decision) <= SAFETY.index(before.decision)
