"""
The review queue, and what the rules are configured with.

Assessments change by a review only. Rules, limits and blocked values are configuration: they are
edited here, and every change goes through a use case that tells the audit trail.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse

from fraud.domain.engine import Decision
from fraud.domain.rules import PARAMETERS, RuleKind
from fraud.models import AWAITS_REVIEW, AmountLimit, Assessment, BlockedValue, Rule, Setting
from fraud.queries import list_kinds_switched_off
from fraud.use_cases.change_setting import change_setting
from fraud.use_cases.decide_review import decide_review
from fraud.use_cases.remove_setting import remove_setting
from shared.admin import NoCardNumber, Operator, OperatorAdmin, ReadOnlyAdmin, asks_reason
from shared.admin.configuration import SettingAdmin, SettingForm

MAX_JSON_LENGTH = 500
MAX_VALUE_LENGTH = 200


_WHAT_IS_NOT_LOOKED_AT = {
    RuleKind.AMOUNT_LIMIT: "Amounts are not looked at, and limits per currency have no effect",
    RuleKind.VELOCITY: "How fast payments follow each other is not looked at",
    RuleKind.BLOCKLIST: "Blocked values are not looked at, and every one of them passes",
}


class SaysWhatIsOff(OperatorAdmin):
    """Pages that say which rules are off: who reads a blocklist must not think that it works."""

    change_list_template = "fraud/admin/change_list.html"
    change_form_template = "fraud/admin/change_form.html"
    concerns: ClassVar[tuple[RuleKind, ...]] = tuple(RuleKind)
    """The kinds of rules that these pages are about."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, below what is off."""
        return super().changelist_view(request, self._off() | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The page of a row, below what is off."""
        extra_context = self._off() | (extra_context or {})
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _off(self) -> dict[str, list[str]]:
        off = [kind for kind in list_kinds_switched_off() if kind in self.concerns]
        words = "{}: no rule of the kind {} is on."
        return {"off": [words.format(_WHAT_IS_NOT_LOOKED_AT[kind], kind) for kind in off]}


class ReviewFilter(admin.SimpleListFilter):
    """The review queue, and what became of it."""

    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Waiting, and the two decisions."""
        return [("awaited", "awaited"), ("APPROVE", "approved"), ("DECLINE", "declined")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The assessments of the choice."""
        if self.value() == "awaited":
            return queryset.filter(AWAITS_REVIEW)
        return queryset.filter(review_decision=self.value()) if self.value() else queryset


@admin.register(Assessment)
class AssessmentAdmin(SaysWhatIsOff, ReadOnlyAdmin):
    """What the rules said; those that wait for a review are approved or declined here."""

    badges = ("decision", "review_decision")
    list_display = (
        "payment_id",
        "decision",
        "score",
        "amount_minor",
        "why",
        "review",
        "created_at",
    )
    list_filter = (ReviewFilter, "decision", "created_at")
    search_fields = ("id", "payment_id", "correlation_id", "merchant_id", "instrument")
    search_help_text = "An id of the assessment, its payment, its story or its merchant; a token."
    actions = ("approve", "decline")

    @admin.display(description="Rules that hit")
    def why(self, assessment: Assessment) -> str:
        """Their reasons."""
        return "; ".join(hit["reason"] for hit in assessment.hits) or "none"

    @admin.display(description="Review")
    def review(self, assessment: Assessment) -> str:
        """Whether one is awaited, or who decided what."""
        if assessment.awaits_review:
            return "awaited"
        decided = f"{assessment.review_decision} by {assessment.reviewed_by}"
        return decided if assessment.reviewed_at else "–"

    @asks_reason(
        "Approve",
        consequence="The payment goes on to its processor as if no rule had hit. It is decided"
        " once.",
    )
    def approve(self, assessment: Assessment, operator: Operator) -> None:
        """Let a payment pass."""
        decide_review(assessment_id=assessment.pk, decision=Decision.APPROVE, **vars(operator))

    @asks_reason(
        "Decline",
        consequence="The payment is declined for good, and the merchant is told. It is decided"
        " once.",
    )
    def decline(self, assessment: Assessment, operator: Operator) -> None:
        """Stop a payment."""
        decide_review(assessment_id=assessment.pk, decision=Decision.DECLINE, **vars(operator))


class FraudSettingAdmin(SaysWhatIsOff, SettingAdmin):
    """What the rules are configured with: added, changed and removed through use cases."""

    actions = ("remove",)

    def store(self, setting: Setting, operator: Operator) -> None:
        """See `change_setting`."""
        change_setting(setting=setting, **vars(operator))

    @asks_reason("Remove", consequence="Payments from now on are assessed without it.")
    def remove(self, setting: Setting, operator: Operator) -> None:
        """Take it away."""
        remove_setting(setting=setting, **vars(operator))


class ShortJSON(forms.JSONField):
    """JSON that a person wrote: deeply nested texts are refused before they are parsed."""

    def to_python(self, value: Any) -> Any:
        """Raises: ValidationError."""
        if len(str(value)) > MAX_JSON_LENGTH:
            raise ValidationError(f"At most {MAX_JSON_LENGTH} characters.")
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was refused for its length is shown as it came, not parsed for showing it."""
        if data and len(data) > MAX_JSON_LENGTH:
            return InvalidJSONInput(data)
        return super().bound_data(data, initial)


class RuleForm(SettingForm):
    """A rule; the model knows which parameters go with its kind."""

    weight = forms.IntegerField(
        min_value=1, max_value=100, help_text="Taken off the score of 100 when the rule hits."
    )
    parameters = ShortJSON(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField verbatim"}),
        help_text="A JSON object. "
        + "; ".join(f"{kind}: {', '.join(known) or 'none'}" for kind, known in PARAMETERS.items())
        + ".",
    )

    def clean_parameters(self) -> Any:
        """An empty field is an empty object."""
        given = self.cleaned_data["parameters"]
        return {} if given is None else given


@admin.register(Rule)
class RuleAdmin(FraudSettingAdmin):
    """The rules: how much they weigh, with which parameters, and whether they are on."""

    form = RuleForm
    settled = ("name", "kind")
    fields = ("name", "kind", "weight", "parameters", "is_enabled", "why")
    list_display = ("name", "kind", "weight", "parameters", "is_enabled")
    ordering = ("name",)
    search_fields = ("name",)


@admin.register(AmountLimit)
class AmountLimitAdmin(FraudSettingAdmin):
    """Limits per currency, which replace the amount rule's own."""

    concerns = (RuleKind.AMOUNT_LIMIT,)
    settled = ("currency",)
    fields = ("currency", "limit_minor", "why")
    list_display = ("currency", "limit_minor")
    ordering = ("currency",)
    search_fields = ("currency",)


class BlockedValueForm(SettingForm):
    """A blocked value; no card number gets in by this door."""

    value = forms.CharField(
        max_length=MAX_VALUE_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="A payee's or a merchant's id, or a token.",
    )
    reason = forms.CharField(
        max_length=MAX_VALUE_LENGTH,
        required=False,
        validators=[NoCardNumber()],
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="What whoever meets it later should know.",
    )


@admin.register(BlockedValue)
class BlockedValueAdmin(FraudSettingAdmin):
    """The blocklist."""

    form = BlockedValueForm
    concerns = (RuleKind.BLOCKLIST,)
    settled = ("trait", "value")
    fields = ("trait", "value", "reason", "why")
    list_display = ("trait", "value", "reason", "created_at")
    list_filter = ("trait",)
    search_fields = ("value", "reason")
