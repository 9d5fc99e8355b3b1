"""Assessing a batch of payments."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from fraud import conf
from fraud.domain.engine import Thresholds, assess
from fraud.domain.rules import Facts
from fraud.domain.rules import Rule as ConfiguredRule
from fraud.models import Assessment
from fraud.queries import (
    blocked_among,
    limits_by_currency,
    list_enabled_rules,
    lock_instruments,
    recent_payments,
)
from shared import clock, db
from shared.event_bus import publish
from shared.events.fraud import FraudAssessmentCompleted
from shared.events.payments import PaymentTransactionInitiated

_THRESHOLDS = Thresholds(conf.DECLINE_UP_TO_SCORE, conf.REVIEW_UP_TO_SCORE)


def assess_payments(*, payments: Sequence[PaymentTransactionInitiated], now: datetime) -> None:
    """
    Run the enabled rules over payments and publish Fraud.Assessment.Completed for each.

    A payment is assessed once; one that was assessed before is left alone. While a velocity rule
    is on, payments with one instrument are assessed one after the other, wherever that happens:
    who waits here sees what was counted before.
    """
    with db.transaction():
        rules = list_enabled_rules()
        lock_instruments(_known_instruments(payments), rules)
        facts = _facts_of(payments, rules, now)
        assessments = Assessment.objects.record(
            [_assessment(payment, facts[payment.payment_id], rules, now) for payment in payments]
        )
        publish(*(_completed(assessment, now) for assessment in assessments))


def _facts_of(
    payments: Sequence[PaymentTransactionInitiated], rules: Sequence[ConfiguredRule], now: datetime
) -> dict[str, Facts]:
    traits = {payment.payment_id: _traits(payment) for payment in payments}
    limits = limits_by_currency()
    blocked = blocked_among([pair for values in traits.values() for pair in values.items()])
    recent = recent_payments(_known_instruments(payments), rules, now)
    in_batch: Counter[tuple[str, str]] = Counter()
    facts = {}
    for payment in payments:
        instrument, values = _instrument(payment), traits[payment.payment_id]
        facts[payment.payment_id] = Facts(
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            values=values,
            recent={s: n + in_batch[instrument] for s, n in _windows(recent, instrument, rules)},
            blocked=frozenset(pair for pair in values.items() if pair in blocked),
            limits_minor=limits,
        )
        in_batch[instrument] += bool(instrument[1])
    return facts


def _windows(
    recent: dict[tuple[str, str], dict[int, int]],
    instrument: tuple[str, str],
    rules: Sequence[ConfiguredRule],
) -> list[tuple[int, int]]:
    windows = {int(rule.parameters["seconds"]) for rule in rules if "seconds" in rule.parameters}
    return [(seconds, recent.get(instrument, {}).get(seconds, 0)) for seconds in windows]


def _traits(payment: PaymentTransactionInitiated) -> dict[str, str]:
    return {
        "payee": payment.payee_account_id,
        "token": payment.payment_method_token or "",
        "merchant": payment.merchant_id or "",
    }


def _instrument(payment: PaymentTransactionInitiated) -> tuple[str, str]:
    # Another token for the same card is the same instrument.
    known_by = payment.instrument_fingerprint or payment.payment_method_token or ""
    return payment.merchant_id or "", known_by


def _known_instruments(
    payments: Sequence[PaymentTransactionInitiated],
) -> list[tuple[str, str]]:
    # A payer who is yet to be sent to a bank has none that we could count.
    return [pair for pair in map(_instrument, payments) if pair[1]]


def _assessment(
    payment: PaymentTransactionInitiated,
    facts: Facts,
    rules: Sequence[ConfiguredRule],
    now: datetime,
) -> Assessment:
    return Assessment.of(
        assess(facts, rules, _THRESHOLDS),
        now=now,
        payment_id=UUID(payment.payment_id),
        correlation_id=UUID(payment.correlation_id),
        merchant_id=UUID(payment.merchant_id),
        instrument=_instrument(payment)[1],
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )


def _completed(assessment: Assessment, now: datetime) -> FraudAssessmentCompleted:
    return FraudAssessmentCompleted(
        correlation_id=str(assessment.correlation_id),
        subject_id=str(assessment.pk),
        merchant_id=str(assessment.merchant_id),
        occurred_at=clock.iso(now),
        payment_id=str(assessment.payment_id),
        score=assessment.score,
        risk_score=assessment.risk_score,
        decision=assessment.decision,
        rules=tuple(hit["rule"] for hit in assessment.hits),
    )
