"""Assessing: every payment once, with facts gathered for the whole batch."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fraud.domain.engine import Decision
from fraud.models import AmountLimit, Assessment, BlockedValue, Rule
from fraud.queries import list_enabled_rules, recent_payments
from fraud.tests.conftest import NOW, assessed, initiated, set_rule
from fraud.use_cases.assess_payments import assess_payments
from shared.identifiers import new_id
from shared.testing.events import told

pytestmark = pytest.mark.django_db

COMPLETED = "Fraud.Assessment.Completed"
VELOCITY = "many-payments-with-one-instrument"
BLOCKLIST = "on-the-blocklist"


def decisions(*found: Assessment) -> list[str]:
    return [assessment.decision for assessment in found]


class TestAssessPayments:
    def test_stores_and_tells_the_verdict(self) -> None:
        payment = initiated(amount_minor=1_000_001)
        (assessment,) = assessed(payment)
        assert (assessment.score, assessment.decision) == (0, "DECLINE")
        assert assessment.hits == [
            {"rule": "amount-above-limit", "weight": 100, "reason": "amount above 10000.00 USD"}
        ]
        assert str(assessment.correlation_id) == payment.correlation_id
        assert told(COMPLETED) == [
            {
                "payment_id": payment.payment_id,
                "score": 0,
                "risk_score": 100,
                "decision": "DECLINE",
                "rules": ["amount-above-limit"],
            }
        ]

    def test_assesses_a_payment_once(self) -> None:
        payment, other = initiated(), initiated()
        (first,) = assessed(payment)
        set_rule("amount-above-limit", parameters={"limit": 1})
        again, _ = assessed(payment, other)
        assert (again.pk, again.decision) == (first.pk, "APPROVE")
        assert [event["payment_id"] for event in told(COMPLETED)] == [
            payment.payment_id,
            other.payment_id,
        ]

    def test_declines_from_one_cent_above_the_limit_on(self) -> None:
        found = assessed(initiated(amount_minor=1_000_000), initiated(amount_minor=1_000_001))
        assert decisions(*found) == ["APPROVE", "DECLINE"]

    def test_takes_the_limit_of_the_currency(self) -> None:
        AmountLimit(currency="JPY", limit_minor=1_500_000).store()
        found = assessed(
            initiated(amount_minor=1_500_000, currency="JPY"),
            initiated(amount_minor=1_500_001, currency="JPY"),
            initiated(amount_minor=1_000_001, currency="USD"),
        )
        assert decisions(*found) == ["APPROVE", "DECLINE", "DECLINE"]

    def test_runs_no_rule_that_is_switched_off(self) -> None:
        set_rule("amount-above-limit", is_enabled=False)
        BlockedValue(trait="token", value="tok_stolen").store()
        found = assessed(
            initiated(amount_minor=10**15), initiated(payment_method_token="tok_stolen")
        )
        assert decisions(*found) == ["APPROVE", "APPROVE"]

    def test_works_without_any_rule(self) -> None:
        Rule.objects.all().delete()
        assert decisions(*assessed(initiated())) == ["APPROVE"]

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        set_rule(VELOCITY, is_enabled=True)
        set_rule(BLOCKLIST, is_enabled=True)

        def statements(count: int) -> int:
            batch = [initiated() for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                assess_payments(payments=batch, now=NOW)
            return len(queries)

        assert statements(50) == statements(1)


class TestBlocklist:
    @pytest.fixture(autouse=True)
    def blocklist(self) -> None:
        set_rule(BLOCKLIST, is_enabled=True)

    def test_hits_each_trait_by_its_own_list_only(self) -> None:
        payee, merchant = str(new_id()), str(new_id())
        BlockedValue(trait="payee", value=payee).store()
        BlockedValue(trait="merchant", value=merchant).store()
        BlockedValue(trait="token", value="tok_stolen").store()
        BlockedValue(trait="token", value=payee).store()
        found = assessed(
            initiated(payee_account_id=payee),
            initiated(merchant_id=merchant),
            initiated(payment_method_token="tok_stolen"),
            initiated(payee_account_id=merchant),
            initiated(),
        )
        assert decisions(*found) == ["DECLINE", "DECLINE", "DECLINE", "APPROVE", "APPROVE"]


class TestVelocity:
    @pytest.fixture(autouse=True)
    def three_in_a_minute(self) -> None:
        set_rule(VELOCITY, is_enabled=True, parameters={"seconds": 60, "count": 3})

    def test_counts_within_one_batch(self) -> None:
        found = assessed(*(initiated(payment_method_token="tok_one") for _ in range(4)))
        assert decisions(*found) == ["APPROVE", "APPROVE", "REVIEW", "REVIEW"]

    def test_counts_across_batches(self) -> None:
        for expected in ("APPROVE", "APPROVE", "REVIEW"):
            assert decisions(*assessed(initiated())) == [expected]

    def test_a_count_of_stored_rows_alone_would_let_a_batch_through(self) -> None:
        # The naive twin: facts read once before the batch, and nothing added while it runs.
        batch = [initiated() for _ in range(4)]
        instruments = [(payment.merchant_id or "", "tok_test") for payment in batch]
        assert recent_payments(instruments, list_enabled_rules(), NOW) == {}

    def test_forgets_what_is_older_than_its_window(self) -> None:
        assessed(initiated(), initiated())
        a_minute = timedelta(seconds=60)
        later = NOW + a_minute + timedelta(microseconds=1)
        assert decisions(*assessed(initiated(), now=later)) == ["APPROVE"]

    def test_counts_what_is_just_as_old_as_its_window(self) -> None:
        assessed(initiated(), initiated())
        later = NOW + timedelta(seconds=60)
        assert decisions(*assessed(initiated(), now=later)) == ["REVIEW"]

    def test_is_about_one_merchant_and_one_instrument(self) -> None:
        assessed(initiated(), initiated())
        found = assessed(
            initiated(payment_method_token="tok_other"),
            initiated(merchant_id=str(new_id())),
            initiated(),
        )
        assert decisions(*found) == ["APPROVE", "APPROVE", "REVIEW"]

    def test_keeps_windows_apart(self) -> None:
        Rule(
            name="two-in-a-day",
            kind="VELOCITY",
            weight=80,
            parameters={"seconds": 86_400, "count": 2},
        ).store()
        assessed(initiated())
        (much_later,) = assessed(initiated(), now=NOW + timedelta(hours=23))
        assert much_later.decision == Decision.DECLINE
        assert [hit["rule"] for hit in much_later.hits] == ["two-in-a-day"]
