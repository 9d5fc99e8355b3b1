"""Assessing: every payment once, with facts gathered for the whole batch."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fraud.domain.engine import Decision, assess
from fraud.domain.rules import Facts
from fraud.models import AmountLimit, Assessment, BlockedValue, Rule
from fraud.queries import list_enabled_rules, lock_instruments, recent_payments
from fraud.tests.conftest import ACME, NOW, assessed, initiated, set_rule, stored
from fraud.use_cases.assess_payments import _THRESHOLDS, assess_payments
from shared import db
from shared.events.payments import PaymentTransactionInitiated
from shared.identifiers import new_id
from shared.testing.events import told
from shared.testing.races import race

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

    def test_knows_an_instrument_by_its_fingerprint_whatever_the_token(self) -> None:
        found = assessed(
            *(
                initiated(payment_method_token=f"tok_{n}", instrument_fingerprint="ab" * 32)
                for n in range(3)
            )
        )
        assert decisions(*found) == ["APPROVE", "APPROVE", "REVIEW"]
        assert {assessment.instrument for assessment in found} == {"ab" * 32}

    def test_knows_it_by_its_token_where_there_is_no_fingerprint(self) -> None:
        assessed(initiated(), initiated())
        found = assessed(initiated(instrument_fingerprint="ab" * 32), initiated())
        assert decisions(*found) == ["APPROVE", "REVIEW"]

    def test_does_not_take_payments_without_an_instrument_for_one(self) -> None:
        found = assessed(*(initiated(payment_method_token=None) for _ in range(4)))
        found += assessed(*(initiated(payment_method_token=None) for _ in range(4)))
        assert decisions(*found) == ["APPROVE"] * 8


class TestVelocityOfPaymentsAtTheSameMoment:
    """Two dispatchers, two connections, one instrument: two payments pass, whoever is first."""

    @pytest.fixture(autouse=True)
    def three_in_a_minute(self) -> None:
        set_rule(VELOCITY, is_enabled=True, parameters={"seconds": 60, "count": 3})

    def test_is_counted_as_if_one_came_after_the_other(self) -> None:
        for _ in range(5):
            merchant_id = str(new_id())
            batches = [[initiated(merchant_id=merchant_id) for _ in range(2)] for _ in range(4)]
            race([lambda b=batch: assess_payments(payments=b, now=NOW) for batch in batches])  # type: ignore[misc]
            found = [assessment for batch in batches for assessment in stored(batch)]
            assert sorted(decisions(*found)) == ["APPROVE"] * 2 + ["REVIEW"] * 6

    def test_waits_for_whoever_counts_the_instrument(self) -> None:
        counted = threading.Event()
        first, second = [initiated(), initiated()], [initiated()]

        def hold() -> None:
            with db.transaction():
                assess_payments(payments=first, now=NOW)
                counted.set()
                wait_until_somebody_waits()

        def follow() -> None:
            assert counted.wait(30)
            assess_payments(payments=second, now=NOW)

        race([hold, follow])
        assert decisions(*stored(second)) == ["REVIEW"]

    def test_batches_in_opposite_orders_do_not_wait_for_each_other(self) -> None:
        tokens = [f"tok_{n}" for n in range(30)]
        orders = [tokens, tokens[::-1], tokens[::2] + tokens[1::2], tokens]
        batches = [[initiated(payment_method_token=t) for t in order] for order in orders]
        race([lambda b=batch: assess_payments(payments=b, now=NOW) for batch in batches])  # type: ignore[misc]
        assert decisions(*(a for batch in batches for a in stored(batch))).count("APPROVE") == 60

    def test_other_instruments_are_not_waited_for(self) -> None:
        others = [initiated(payment_method_token="tok_other"), initiated(merchant_id=str(new_id()))]

        def beside() -> None:
            assess_payments(payments=others, now=NOW)

        with db.transaction():
            assess_payments(payments=[initiated()], now=NOW)
            race([beside])
        assert decisions(*stored(others)) == ["APPROVE"] * 2

    def test_without_the_lock_every_payment_passes(self) -> None:
        """The naive twin: all count, then all write."""
        payments = [initiated() for _ in range(4)]
        have_counted = threading.Barrier(len(payments), timeout=30)
        race([lambda p=payment: naive(p, have_counted) for payment in payments])  # type: ignore[misc]
        assert decisions(*stored(payments)) == ["APPROVE"] * 4

    def test_locks_nothing_while_no_rule_counts(self) -> None:
        set_rule(VELOCITY, is_enabled=False)
        with db.transaction(), CaptureQueriesContext(connection) as queries:
            lock_instruments([(ACME, "tok_test")], list_enabled_rules())
        assert not [query for query in queries if "advisory" in query["sql"]]


def naive(payment: PaymentTransactionInitiated, have_counted: threading.Barrier) -> None:
    with db.transaction():
        rules = list_enabled_rules()
        recent = recent_payments([(ACME, "tok_test")], rules, NOW).get((ACME, "tok_test"), {})
        have_counted.wait()
        facts = Facts(payment.amount_minor, payment.currency, values={}, recent=recent)
        about = {name: getattr(payment, name) for name in ("payment_id", "correlation_id")}
        Assessment.of(
            assess(facts, rules, _THRESHOLDS),
            now=NOW,
            merchant_id=ACME,
            instrument="tok_test",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            **about,
        ).save()


def wait_until_somebody_waits() -> None:
    with connection.cursor() as cursor:
        for _ in range(100_000):
            cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone():
                return
    pytest.fail("nobody waits")
