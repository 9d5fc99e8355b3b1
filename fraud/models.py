"""Assessments, and what the rules are configured with."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from fraud.domain.engine import Decision, Verdict
from fraud.domain.rules import Rule as ConfiguredRule
from fraud.domain.rules import RuleKind, complaints
from shared.errors import Conflict
from shared.identifiers import is_canonical, new_id
from shared.money import EXPONENTS, MAX_AMOUNT_MINOR, format_amount
from shared.postgres.batches import insert_all
from shared.postgres.naming import schema_table

AWAITS_REVIEW = Q(decision=Decision.REVIEW, reviewed_at__isnull=True)
"""An operator has to decide: the condition of the partial index, word for word."""


class ReviewAlreadyDecided(Conflict):
    """This payment does not wait for a review, or somebody decided it meanwhile."""


class AssessmentQuerySet(models.QuerySet["Assessment"]):
    """Batch writes of assessments."""

    def record(self, assessments: Sequence["Assessment"]) -> list["Assessment"]:
        """Insert assessments; a payment assessed before is left alone. Returns the new ones."""
        known = set(
            self.filter(payment_id__in=[a.payment_id for a in assessments]).values_list(
                "payment_id", flat=True
            )
        )
        new = [a for a in assessments if a.payment_id not in known]
        insert_all(new)
        return new


class Assessment(models.Model):
    """What the rules said about a payment, once, and what an operator decided if asked."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment_id = models.UUIDField()
    correlation_id = models.UUIDField()
    merchant_id = models.UUIDField()
    instrument = models.TextField(
        help_text="What paid: its fingerprint, or its token where none is known."
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    score = models.SmallIntegerField(help_text="0–100, 100 = safest.")
    decision = models.TextField(choices=[(d, d.name) for d in Decision])
    hits = models.JSONField(default=list, help_text="Which rules hit, their weight and why.")
    created_at = models.DateTimeField()
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.TextField(default="", blank=True)
    review_decision = models.TextField(default="", blank=True)
    review_reason = models.TextField(default="", blank=True)

    objects: ClassVar[AssessmentQuerySet] = AssessmentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("fraud", "assessment")
        constraints = [
            models.UniqueConstraint(fields=["payment_id"], name="assessment_once_per_payment"),
            models.CheckConstraint(
                condition=Q(score__gte=0, score__lte=100), name="assessment_score_within_0_and_100"
            ),
            models.CheckConstraint(
                condition=Q(decision__in=[d.value for d in Decision]),
                name="assessment_decision_is_known",
            ),
            models.CheckConstraint(
                condition=Q(review_decision__in=["", "APPROVE", "DECLINE"]),
                name="assessment_review_decision_is_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["merchant_id", "instrument", "created_at"], name="assessment_velocity"
            ),
            models.Index(
                fields=["created_at"],
                name="assessment_awaiting_review",
                condition=Q(decision="REVIEW", reviewed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        """Decision and score."""
        return f"{self.decision} ({self.score}) for {self.payment_id}"

    # Factories

    @classmethod
    def of(cls, verdict: Verdict, *, now: datetime, **about: Any) -> "Assessment":
        """What the rules said about a payment; not saved."""
        hits = [{"rule": h.rule, "weight": h.weight, "reason": h.reason} for h in verdict.hits]
        return cls(
            score=verdict.score, decision=verdict.decision, hits=hits, created_at=now, **about
        )

    # Mutators

    def decide_review(self, *, decision: Decision, actor: str, reason: str, now: datetime) -> None:
        """
        Take an operator's decision, once.

        Raises:
            ReviewAlreadyDecided: it does not wait for one.

        """
        if not self.awaits_review:
            raise ReviewAlreadyDecided
        self.reviewed_at, self.reviewed_by = now, actor
        self.review_decision, self.review_reason = decision, reason
        self.save(update_fields=["reviewed_at", "reviewed_by", "review_decision", "review_reason"])

    # Properties

    @property
    def awaits_review(self) -> bool:
        """Whether an operator has to decide."""
        return self.decision == Decision.REVIEW and self.reviewed_at is None

    @property
    def risk_score(self) -> int:
        """The score the other way round: 100 = riskiest."""
        return 100 - self.score


class Setting(models.Model):
    """What operators configure: checked whenever it is stored, whoever stores it."""

    class Meta:
        abstract = True

    # Mutators

    def store(self) -> None:
        """
        Write it as it is now.

        Raises:
            ValidationError: it would not work, or says the same as another.

        """
        self.full_clean()
        self.save()

    def remove(self) -> None:
        """Take it away."""
        self.delete()

    # Properties

    @property
    def terms(self) -> str:
        """All of it in one line, for the trail."""
        raise NotImplementedError


class Rule(Setting):
    """A rule as configured by operators: its weight, its parameters, whether it is on."""

    id = models.BigAutoField(primary_key=True)
    name = models.SlugField(max_length=60)
    kind = models.TextField(choices=[(kind, kind.name) for kind in RuleKind])
    weight = models.SmallIntegerField(help_text="1–100; taken off the score when the rule hits.")
    parameters = models.JSONField(default=dict, blank=True)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        db_table = schema_table("fraud", "rule")
        constraints = [
            models.UniqueConstraint(fields=["name"], name="rule_name_is_unique"),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in RuleKind]), name="rule_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(weight__gte=1, weight__lte=100), name="rule_weight_within_1_and_100"
            ),
        ]

    def __str__(self) -> str:
        """Its name."""
        return self.name

    def clean_fields(self, exclude: Any = None) -> None:
        """Raises: ValidationError, also for parameters that a rule of its kind cannot run with."""
        super().clean_fields(exclude)
        is_told = "parameters" in (exclude or ()) or self.kind not in set(RuleKind)
        if not is_told and (found := complaints(RuleKind(self.kind), self.parameters)):
            raise ValidationError({"parameters": found})

    # Properties

    @property
    def terms(self) -> str:
        """All of it in one line, for the trail."""
        state = "on" if self.is_enabled else "off"
        parameters = json.dumps(self.parameters, sort_keys=True)
        return f"{self.name}: {self.kind}, weight {self.weight}, {parameters}, {state}"

    @property
    def configured(self) -> ConfiguredRule:
        """The rule as the engine takes it."""
        return ConfiguredRule(self.name, RuleKind(self.kind), self.weight, self.parameters)


class AmountLimit(Setting):
    """A limit for one currency that replaces the amount rule's general one."""

    currency = models.CharField(max_length=3, primary_key=True)
    limit_minor = models.BigIntegerField(help_text="In minor units; amounts above it hit.")

    class Meta:
        db_table = schema_table("fraud", "amount_limit")
        constraints = [
            models.CheckConstraint(
                condition=Q(limit_minor__gte=0, limit_minor__lte=MAX_AMOUNT_MINOR),
                name="amount_limit_within_limits",
            ),
        ]

    def __str__(self) -> str:
        """Currency and limit."""
        return self.terms

    def clean_fields(self, exclude: Any = None) -> None:
        """Raises: ValidationError, also for what is no currency."""
        super().clean_fields(exclude)
        if self.currency not in EXPONENTS:
            raise ValidationError({"currency": "An upper-case ISO 4217 code, such as USD."})

    # Properties

    @property
    def terms(self) -> str:
        """All of it in one line, for the trail."""
        return f"{self.currency} {format_amount(self.limit_minor, self.currency)}"


class BlockedValue(Setting):
    """A trait of payments that the blocklist rule hits: a payee, a token, a merchant."""

    TRAITS = ("payee", "token", "merchant")

    id = models.BigAutoField(primary_key=True)
    trait = models.TextField(choices=[(trait, trait) for trait in TRAITS])
    value = models.TextField()
    reason = models.TextField(default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = schema_table("fraud", "blocked_value")
        constraints = [
            models.UniqueConstraint(fields=["trait", "value"], name="blocked_value_once"),
        ]

    def __str__(self) -> str:
        """Trait and value."""
        return f"{self.trait} {self.value}"

    def clean_fields(self, exclude: Any = None) -> None:
        """Raises: ValidationError, also for what no payment's trait can be equal to."""
        super().clean_fields(exclude)
        if self.trait != "token" and not is_canonical(self.value):
            raise ValidationError({"value": f"A {self.trait} is a UUID in lower case."})

    # Properties

    @property
    def terms(self) -> str:
        """All of it in one line, for the trail."""
        return f"{self.trait} {self.value}: {self.reason or 'no reason noted'}"
