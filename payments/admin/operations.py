"""Calls to processors, and what two people say became of one."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from payments.admin.columns import ProcessorFilter, link
from payments.domain.processor import OperationKind
from payments.models import Operation, Payment, Resolution, Verdict
from payments.models.operation_table import IN_DOUBT
from payments.use_cases.confirm_resolution import confirm_resolution
from payments.use_cases.propose_resolution import propose_resolution
from payments.use_cases.reject_resolution import reject_resolution
from shared.admin import (
    NoCardNumber,
    Operator,
    OutstandingAdmin,
    ReadOnlyAdmin,
    asks_reason,
    choices_filter,
)
from shared.admin.reasons import ReasonForm
from shared.event_bus import operating
from shared.money import Money

MAX_REFERENCE_LENGTH = 200


class DoubtFilter(admin.SimpleListFilter):
    """Operations that may have been carried out without our knowing."""

    title = "doubt"
    parameter_name = "doubt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """In doubt, or certain."""
        return [("in_doubt", "in doubt"), ("certain", "certain, or not sent yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The operations of the choice."""
        if self.value() == "certain":
            return queryset.exclude(IN_DOUBT)
        return queryset.filter(IN_DOUBT) if self.value() == "in_doubt" else queryset


class DoneForm(ReasonForm):
    """What the processor calls an operation that was done, and how we know."""

    field_order = ("processor_reference", "reason")
    processor_reference = forms.CharField(
        label="Reference",
        required=False,
        max_length=MAX_REFERENCE_LENGTH,
        validators=[NoCardNumber()],
        widget=forms.TextInput(attrs={"class": "vTextField verbatim"}),
        help_text="What the processor calls it. An authorisation needs one, because captures and"
        " voids name it; for anything else it may stay empty.",
    )

    def clean_processor_reference(self) -> str:
        """Raises: ValidationError where one is missing, or would name several calls."""
        reference = str(self.cleaned_data["processor_reference"]).strip()
        if reference and len(self.rows) > 1:
            raise forms.ValidationError("A reference names one call: choose one operation.")
        if not reference and any(row.kind == OperationKind.AUTHORISE for row in self.rows):
            raise forms.ValidationError("An authorisation that was done has a reference.")
        return reference


@admin.register(Operation)
class OperationAdmin(OutstandingAdmin):
    """
    Calls to processors.

    None can be skipped: its payment would wait for ever, with an amount set aside. Where the
    processor does not tell, two people say what became of it.
    """

    badges = ("outcome", "verdict")
    list_display = (
        "kind",
        "purpose",
        "processor",
        "amount_minor",
        "outcome",
        "verdict",
        "sends",
        "inquiries",
        "state",
        "created_at",
        link(Payment, "payment_id", "Payment", text="open"),
    )
    list_filter = (
        DoubtFilter,
        *OutstandingAdmin.list_filter,
        "kind",
        "purpose",
        choices_filter("verdict", "verdict", lambda: [(v.value, v.value) for v in Verdict]),
        ProcessorFilter,
    )
    search_fields = ("id", "payment__id", "correlation_id", "processor_reference")
    search_help_text = "An id of the operation, its payment or its story, or a reference."
    actions = ("it_was_done", "it_was_not_done", "retry")  # type: ignore[assignment]

    @asks_reason(
        "It was done",
        consequence="You propose that the processor carried it out. Nothing happens until somebody"
        " else confirms that; then the payment goes on as if the processor had said so. Say in the"
        " reason where you looked.",
        afterwards="It waits for a second person, under Resolutions.",
        form_class=DoneForm,
    )
    def it_was_done(
        self, operation: Operation, operator: Operator, *, processor_reference: str
    ) -> None:
        """Propose that it was."""
        propose_resolution(
            operation_id=operation.pk,
            verdict=Verdict.APPROVED,
            processor_reference=processor_reference,
            **vars(operator),
        )

    @asks_reason(
        "It was not done",
        consequence="You propose that the processor did not carry it out and never will. Nothing"
        " happens until somebody else confirms that; then it has failed, and its amount is free"
        " again. Say in the reason where you looked.",
        afterwards="It waits for a second person, under Resolutions.",
    )
    def it_was_not_done(self, operation: Operation, operator: Operator) -> None:
        """Propose that it was not."""
        propose_resolution(operation_id=operation.pk, verdict=Verdict.FAILED, **vars(operator))

    @asks_reason(
        "Retry",
        consequence="It is due again at once, with fresh attempts; the processor is asked first if"
        " it may have carried it out. Do this when what made it fail has been put right. An"
        " operation cannot be skipped, because its payment would wait for ever: where the processor"
        " does not tell, choose “It was done” or “It was not done”.",
    )
    def retry(self, row: Operation, operator: Operator) -> None:
        """Make a parked one due again."""
        operating.retry(Operation, [row.pk], **vars(operator))


@admin.register(Resolution)
class ResolutionAdmin(ReadOnlyAdmin):
    """What people said became of operations; a second person confirms it."""

    badges = ("state", "verdict")
    list_display = (
        "proposed_at",
        "state",
        link(Operation, "operation_id", "Operation", shows="operation"),
        "amount_minor",
        "verdict",
        "reason",
        "proposed_by",
        "decided_by",
        "decided_at",
    )
    list_select_related = ("operation",)
    list_filter = (
        choices_filter(
            "state",
            "state",
            lambda: [
                ("OPEN", "waiting for a second person"),
                ("CONFIRMED", "confirmed"),
                ("REJECTED", "rejected"),
            ],
        ),
    )
    search_fields = ("id", "operation__id", "operation__payment__id", "proposed_by", "decided_by")
    search_help_text = "An id of the resolution, its operation or its payment, or a person."
    actions = ("confirm", "reject")

    @admin.display(description="Amount")
    def amount_minor(self, resolution: Resolution) -> str:
        """What the operation is about."""
        operation = resolution.operation
        return str(Money(operation.amount_minor, operation.currency))

    @asks_reason(
        "Confirm",
        consequence="It takes effect at once, as the processor's own answer would: the payment, the"
        " ledger and the merchant are told. Look at the processor's own records first. Whoever"
        " proposed it cannot confirm it.",
    )
    def confirm(self, resolution: Resolution, operator: Operator) -> None:
        """Agree as the second person."""
        confirm_resolution(resolution_id=resolution.pk, **vars(operator))

    @asks_reason(
        "Reject",
        consequence="It has no effect; the processor is asked on, and another resolution can be"
        " proposed.",
    )
    def reject(self, resolution: Resolution, operator: Operator) -> None:
        """Turn it down."""
        reject_resolution(resolution_id=resolution.pk, **vars(operator))
