"""The table of payments: what PostgreSQL itself refuses, how rows are found, what changes."""

from django.db import models
from django.db.models import F, Q

from payments.domain.lifecycle import HOLDING, PaymentStatus
from shared.money import MAX_AMOUNT_MINOR

_HELD = F("authorised_minor") - F("captured_minor") - F("released_minor")
_RELEASED_WHOLE = Q(captured_minor=0, released_minor=F("authorised_minor"))
_NOTHING_HELD = Q(released_minor=F("authorised_minor") - F("captured_minor"), captured_minor__gt=0)
_UNTOUCHED = Q(captured_minor=0, released_minor=0)

CONSTRAINTS = [
    models.UniqueConstraint(
        fields=["merchant_id", "idempotency_key"], name="uq_payment_idempotency_key"
    ),
    models.CheckConstraint(
        condition=Q(status__in=[status.value for status in PaymentStatus]),
        name="payment_status_is_known",
    ),
    models.CheckConstraint(
        condition=Q(amount_minor__gte=1, amount_minor__lte=MAX_AMOUNT_MINOR),
        name="payment_amount_within_limits",
    ),
    models.CheckConstraint(
        condition=Q(authorised_minor__gte=0, authorised_minor__lte=F("amount_minor")),
        name="payment_authorised_within_amount",
    ),
    # What is being captured counts as captured: capacity is reserved before the processor is asked.
    models.CheckConstraint(
        condition=Q(captured_minor__gte=0, capturing_minor__gte=0, released_minor__gte=0)
        & Q(capturing_minor__lte=_HELD),
        name="payment_captured_within_authorised",
    ),
    models.CheckConstraint(
        condition=Q(refunded_minor__gte=0, refunding_minor__gte=0)
        & Q(refunding_minor__lte=F("captured_minor") - F("refunded_minor")),
        name="payment_refunded_within_captured",
    ),
    models.CheckConstraint(
        condition=~Q(status__in=["VOIDED", "EXPIRED"]) | _RELEASED_WHOLE,
        name="payment_void_has_nothing_captured",
    ),
    models.CheckConstraint(
        condition=~Q(status__in=["CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"]) | _NOTHING_HELD,
        name="payment_captured_holds_nothing",
    ),
    models.CheckConstraint(
        condition=~Q(status="PARTIALLY_CAPTURED")
        | Q(captured_minor__gt=0, released_minor=0, captured_minor__lt=F("authorised_minor")),
        name="payment_partially_captured_holds_the_rest",
    ),
    models.CheckConstraint(
        condition=Q(status__in=["VOIDED", "EXPIRED", "PARTIALLY_CAPTURED"])
        | Q(status__in=["CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED"])
        | _UNTOUCHED,
        name="payment_amounts_follow_status",
    ),
]

INDEXES = [
    models.Index(fields=["merchant_id", "created_at", "id"], name="payment_by_merchant"),
    models.Index(
        fields=["status"],
        name="payment_undecided",
        condition=Q(status__in=["PENDING", "IN_REVIEW"]),
    ),
    models.Index(
        fields=["capture_before"],
        name="payment_hold_ends",
        condition=Q(status__in=[status.value for status in sorted(HOLDING)]),
    ),
]

CHANGED = (
    "status",
    "authorised_minor",
    "captured_minor",
    "capturing_minor",
    "is_capturing_at_once",
    "released_minor",
    "refunded_minor",
    "refunding_minor",
    "is_closing",
    "in_doubt",
    "processor",
    "processor_reference",
    "redirect_url",
    "redirect_expires_at",
    "decline_reason",
    "failure_reason",
    "assessed_at",
    "authorised_at",
    "captured_at",
    "capture_before",
    "cancel_requested_at",
    "updated_at",
)
"""What mutators change; everything else is as it was when the payment began."""

LOCK = "SELECT * FROM payments.payment WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE"
LOCK_OVERDUE = """
SELECT * FROM payments.payment
WHERE status IN ('AUTHORISED', 'PARTIALLY_CAPTURED') AND capture_before <= %s
  AND NOT is_closing AND capturing_minor = 0
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
