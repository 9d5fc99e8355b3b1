"""Reads of assessments, and the facts the rules ask for."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from fraud import conf
from fraud.domain.rules import Rule as ConfiguredRule
from fraud.domain.rules import RuleKind
from fraud.models import AWAITS_REVIEW, AmountLimit, Assessment, BlockedValue, Rule
from shared.errors import NotFound

Instrument = tuple[str, str]
"""(merchant id, the instrument's fingerprint, or its token where none is known)"""


class AssessmentNotFound(NotFound):
    """There is no assessment of such a payment."""


def get_assessment(*, merchant_id: UUID, payment_id: UUID) -> Assessment:
    """The assessment of a payment. Raises: AssessmentNotFound, also for another merchant's."""
    found = Assessment.objects.filter(payment_id=payment_id, merchant_id=merchant_id).first()
    if found is None:
        raise AssessmentNotFound
    return found


def lock_assessment(assessment_id: UUID) -> Assessment:
    """The assessment, locked until the transaction ends. Raises: AssessmentNotFound."""
    found = Assessment.objects.select_for_update().filter(pk=assessment_id).first()
    if found is None:
        raise AssessmentNotFound
    return found


def count_awaiting_reviews() -> int:
    """How many payments wait for an operator."""
    return Assessment.objects.filter(AWAITS_REVIEW).count()


def list_enabled_rules() -> list[ConfiguredRule]:
    """The rules that are switched on, as the engine takes them."""
    return [rule.configured for rule in Rule.objects.filter(is_enabled=True).order_by("name")]


def list_kinds_switched_off() -> list[RuleKind]:
    """The kinds of rules of which none is switched on: nothing looks at what they look at."""
    on = set(Rule.objects.filter(is_enabled=True).values_list("kind", flat=True).distinct())
    return [kind for kind in RuleKind if kind not in on]


def limits_by_currency() -> dict[str, int]:
    """The limits that operators set per currency, in minor units."""
    return dict(AmountLimit.objects.values_list("currency", "limit_minor"))


def blocked_among(values: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (trait, value) pairs are on the blocklist."""
    texts = {value for _, value in values}
    listed = set(BlockedValue.objects.filter(value__in=texts).values_list("trait", "value"))
    return listed & set(values)


def lock_instruments(instruments: Sequence[Instrument], rules: Sequence[ConfiguredRule]) -> None:
    """
    Let nobody else count these instruments' payments until the commit, if a rule counts them.

    Without it two dispatchers count at the same moment, and neither sees what the other adds.
    """
    if _windows(rules):
        # In one order everywhere, so that two batches never wait for each other.
        keys = sorted({_lock_key(instrument) for instrument in instruments})
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) key", [keys]
            )


def recent_payments(
    instruments: Sequence[Instrument], rules: Sequence[ConfiguredRule], now: datetime
) -> dict[Instrument, dict[int, int]]:
    """Per instrument: window in seconds → its payments in it. Asked only if a rule needs it."""
    windows = _windows(rules)
    if not windows:
        return {}
    since = now - min(conf.LONGEST_WINDOW, timedelta(seconds=max(windows)))
    rows = Assessment.objects.filter(
        merchant_id__in={merchant for merchant, _ in instruments},
        instrument__in={known_by for _, known_by in instruments},
        created_at__gte=since,
    ).values_list("merchant_id", "instrument", "created_at")
    counts: dict[Instrument, dict[int, int]] = defaultdict(lambda: dict.fromkeys(windows, 0))
    for merchant_id, known_by, created_at in rows:
        for seconds in windows:
            is_within = now - created_at <= timedelta(seconds=seconds)
            counts[str(merchant_id), known_by][seconds] += is_within
    return dict(counts)


def _windows(rules: Sequence[ConfiguredRule]) -> set[int]:
    return {int(rule.parameters["seconds"]) for rule in rules if rule.kind == RuleKind.VELOCITY}


def _lock_key(instrument: Instrument) -> int:
    # One space of 64-bit keys serves the whole database: the name keeps others' locks apart.
    digest = hashlib.sha256("|".join(("fraud velocity", *instrument)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
