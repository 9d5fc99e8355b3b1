"""The table of operations: what a row may say, what PostgreSQL refuses, what changes."""

from enum import StrEnum

from django.db import models
from django.db.models import Q

from payments.domain.processor import INSTRUMENT_GONE, OperationKind, OutcomeKind


class Verdict(StrEnum):
    """What became of an operation in the end."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    """It certainly was not done, and is not tried any more."""
    PASSED_ON = "PASSED_ON"
    """It certainly was not done, and another processor is asked."""


class Purpose(StrEnum):
    """Who wanted it."""

    MERCHANT = "MERCHANT"
    AT_ONCE = "AT_ONCE"
    """The capture of a payment that was taken with `capture: true`."""
    EXPIRY = "EXPIRY"
    """The release of a hold whose time is over."""
    CANCEL = "CANCEL"
    """The release of a hold that was cancelled before we knew of it."""
    REVERSAL = "REVERSAL"
    """The undoing of what a processor did after we had given it up."""


NEVER_GIVEN_UP = frozenset({Purpose.EXPIRY, Purpose.CANCEL, Purpose.REVERSAL})
"""Nobody waits for these and nobody would ask for them again."""

IN_DOUBT = Q(verdict="", outcome=OutcomeKind.UNKNOWN.value)
LOOKED_AT = Q(verdict__in=["", Verdict.FAILED.value, Verdict.PASSED_ON.value]) | Q(
    reason=INSTRUMENT_GONE
)
"""Those whose processor may still have something to say."""

CONSTRAINTS = [
    models.UniqueConstraint(
        fields=["payment", "cause_event_id", "processor"], name="operation_once_per_event"
    ),
    models.UniqueConstraint(
        fields=["merchant_id", "idempotency_key"], name="uq_operation_idempotency_key"
    ),
    models.UniqueConstraint(fields=["reverses"], name="operation_reverses_once"),
    models.CheckConstraint(
        condition=Q(kind__in=[kind.value for kind in OperationKind]),
        name="operation_kind_is_known",
    ),
    models.CheckConstraint(
        condition=Q(outcome__in=["", *(kind.value for kind in OutcomeKind)]),
        name="operation_outcome_is_known",
    ),
    models.CheckConstraint(
        condition=Q(verdict__in=["", *(verdict.value for verdict in Verdict)]),
        name="operation_verdict_is_known",
    ),
    models.CheckConstraint(condition=Q(amount_minor__gte=1), name="operation_amount_above_zero"),
]

INDEXES = [
    models.Index(fields=["due_at"], name="operation_due", condition=Q(due_at__isnull=False)),
    models.Index(
        fields=["parked_at"], name="operation_parked", condition=Q(parked_at__isnull=False)
    ),
    models.Index(fields=["merchant_id"], name="operation_in_doubt", condition=IN_DOUBT),
]

CHANGED = (
    "outcome",
    "verdict",
    "is_retryable",
    "processor_reference",
    "reason",
    "sends",
    "inquiries",
    "late_looks",
    "due_at",
    "parked_at",
)
"""What outcomes change; everything else is as it was when the call was planned."""
