"""Assessments and settings: rows that protect themselves."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from fraud.domain.engine import Decision, Thresholds, assess
from fraud.domain.rules import Facts, RuleKind
from fraud.models import AmountLimit, Assessment, BlockedValue, ReviewAlreadyDecided, Rule
from fraud.tests.conftest import NOW, assessed, in_review, initiated
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR
from shared.testing.refusals import constraint_names, violated

pytestmark = pytest.mark.django_db


def assessment(**changes: Any) -> Assessment:
    facts = {
        "payment_id": new_id(),
        "correlation_id": new_id(),
        "merchant_id": new_id(),
        "instrument": "tok_test",
        "amount_minor": 25_000,
        "currency": "USD",
    }
    verdict = assess(Facts(25_000, "USD", {}), [], Thresholds(20, 60))
    return Assessment.of(verdict, now=NOW, **(facts | changes))


def rule(**changes: Any) -> Rule:
    return Rule(**({"name": "mine", "kind": RuleKind.BLOCKLIST, "weight": 10} | changes))


class TestAssessment:
    def test_refuses_what_its_constraints_name(self) -> None:
        known = assessed(initiated())[0]
        rows = Assessment.objects.filter(pk=known.pk)
        breaks: dict[str, list[Callable[[], object]]] = {
            "assessment_once_per_payment": [assessment(payment_id=known.payment_id).save],
            "assessment_score_within_0_and_100": [
                lambda: rows.update(score=-1),
                lambda: rows.update(score=101),
            ],
            "assessment_decision_is_known": [lambda: rows.update(decision="MAYBE")],
            "assessment_review_decision_is_known": [lambda: rows.update(review_decision="REVIEW")],
        }
        for name, ways in breaks.items():
            for way in ways:
                assert violated(way) == name
        assert set(breaks) == constraint_names(Assessment)

    def test_is_recorded_once_per_payment(self) -> None:
        first = assessment()
        assert Assessment.objects.record([first]) == [first]
        again, other = assessment(payment_id=first.payment_id), assessment()
        assert Assessment.objects.record([again, other]) == [other]
        assert set(Assessment.objects.values_list("pk", flat=True)) == {first.pk, other.pk}

    def test_tells_the_risk_the_other_way_round(self) -> None:
        assert [Assessment(score=score).risk_score for score in (0, 35, 100)] == [100, 65, 0]

    def test_takes_a_review_only_while_it_awaits_one(self) -> None:
        for found in (assessed(initiated())[0], assessed(initiated(amount_minor=1_000_001))[0]):
            assert not found.awaits_review
            with pytest.raises(ReviewAlreadyDecided):
                found.decide_review(decision=Decision.APPROVE, actor="olga", reason="ok", now=NOW)

    def test_keeps_who_decided_what_when_and_why(self) -> None:
        found = in_review()
        found.decide_review(decision=Decision.DECLINE, actor="olga", reason="stolen", now=NOW)
        found.refresh_from_db()
        assert (found.reviewed_by, found.reviewed_at) == ("olga", NOW)
        assert (found.review_decision, found.review_reason) == ("DECLINE", "stolen")
        assert not found.awaits_review


class TestRule:
    def test_refuses_what_its_constraints_name(self) -> None:
        rule().store()
        rows = Rule.objects.filter(name="mine")
        breaks: dict[str, list[Callable[[], object]]] = {
            "rule_name_is_unique": [rule().save],
            "rule_kind_is_known": [lambda: rows.update(kind="HUNCH")],
            "rule_weight_within_1_and_100": [
                lambda: rows.update(weight=0),
                lambda: rows.update(weight=101),
            ],
        }
        for name, ways in breaks.items():
            for way in ways:
                assert violated(way) == name
        assert set(breaks) == constraint_names(Rule)

    def test_is_not_stored_with_what_it_cannot_run_with(self) -> None:
        for changes in (
            {"kind": "HUNCH"},
            {"weight": 0},
            {"weight": 101},
            {"name": "not a slug"},
            {"parameters": {"surprise": 1}},
            {"kind": RuleKind.VELOCITY, "parameters": {"seconds": 60}},
            {"kind": RuleKind.VELOCITY, "parameters": {"seconds": "60", "count": 3}},
        ):
            with pytest.raises(ValidationError):
                rule(**changes).store()

    def test_is_what_the_engine_takes(self) -> None:
        configured = rule(kind=RuleKind.VELOCITY, parameters={"seconds": 60, "count": 3}).configured
        assert (configured.name, configured.kind, configured.weight) == ("mine", "VELOCITY", 10)
        assert configured.parameters == {"seconds": 60, "count": 3}


class TestAmountLimit:
    def test_refuses_what_its_constraint_names(self) -> None:
        for limit_minor in (-1, MAX_AMOUNT_MINOR + 1):
            limit = AmountLimit(currency="USD", limit_minor=limit_minor)
            assert violated(limit.save) == "amount_limit_within_limits"
        assert constraint_names(AmountLimit) == {"amount_limit_within_limits"}

    @pytest.mark.parametrize("currency", ["usd", "XXX", "US", ""])
    def test_is_of_a_currency_there_is(self, currency: str) -> None:
        with pytest.raises(ValidationError):
            AmountLimit(currency=currency, limit_minor=1).store()


class TestBlockedValue:
    def test_refuses_what_its_constraint_names(self) -> None:
        BlockedValue(trait="token", value="tok_stolen").store()
        again = BlockedValue(trait="token", value="tok_stolen")
        assert violated(again.save) == "blocked_value_once"
        assert constraint_names(BlockedValue) == {"blocked_value_once"}

    def test_can_be_equal_to_a_payments_trait(self) -> None:
        for trait, value in (("payee", "ACME"), ("merchant", str(new_id()).upper()), ("x", "y")):
            with pytest.raises(ValidationError):
                BlockedValue(trait=trait, value=value).store()
        BlockedValue(trait="payee", value=str(new_id())).store()
