"""What the tests of the module begin with: assessed payments."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fraud.domain.engine import Decision
from fraud.models import Assessment, Rule
from fraud.use_cases.assess_payments import assess_payments
from shared.events.payments import PaymentTransactionInitiated
from shared.testing.events import example

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACME = "0198c5a2-7d1e-7c3a-9b54-2f6a1d0e8b99"


def initiated(**changes: Any) -> PaymentTransactionInitiated:
    """A payment of 250.00 USD that Acme was asked for."""
    return example(PaymentTransactionInitiated, **({"merchant_id": ACME} | changes))


def assessed(*payments: PaymentTransactionInitiated, now: datetime = NOW) -> list[Assessment]:
    """The assessments of payments that were brought in one batch, in their order."""
    assess_payments(payments=payments, now=now)
    return stored(payments)


def stored(payments: Sequence[PaymentTransactionInitiated]) -> list[Assessment]:
    """The assessments of payments, in their order."""
    return [Assessment.objects.get(payment_id=UUID(payment.payment_id)) for payment in payments]


def in_review(**changes: Any) -> Assessment:
    """A payment that waits for an operator, because its limit weighs only 50."""
    set_rule("amount-above-limit", weight=50)
    (assessment,) = assessed(initiated(amount_minor=1_000_001, **changes))
    assert assessment.decision == Decision.REVIEW
    return assessment


def set_rule(name: str, **changes: Any) -> None:
    """Change a seeded rule as operators do."""
    rule = Rule.objects.get(name=name)
    for field, value in changes.items():
        setattr(rule, field, value)
    rule.store()
