"""What the module's endpoint gives."""

from typing import Any

from rest_framework import serializers

from fraud.domain.engine import Decision
from fraud.models import Assessment
from shared import clock


class HitResource(serializers.Serializer[Any]):
    """A rule that hit."""

    rule = serializers.CharField()
    weight = serializers.IntegerField()
    reason = serializers.CharField()


class AssessmentResource(serializers.Serializer[Any]):
    """What the rules said about a payment."""

    paymentId = serializers.UUIDField()
    decision = serializers.ChoiceField(choices=[decision.value for decision in Decision])
    score = serializers.IntegerField(help_text="0–100, 100 = safest")
    riskScore = serializers.IntegerField(help_text="100 − score")
    rules = HitResource(many=True)
    createdAt = serializers.DateTimeField()


def assessment_resource(assessment: Assessment) -> dict[str, Any]:
    """An assessment as the API shows it."""
    return {
        "paymentId": str(assessment.payment_id),
        "decision": assessment.decision,
        "score": assessment.score,
        "riskScore": assessment.risk_score,
        "rules": assessment.hits,
        "createdAt": clock.iso(assessment.created_at),
    }
