"""The Payment aggregate: what a payment is and what may become of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q

from payments.domain.lifecycle import DECIDED, PaymentStatus, may_follow
from shared import clock
from shared.errors import Conflict
from shared.identifiers import new_id
from shared.money import MAX_AMOUNT_MINOR
from shared.postgres.batches import insert_all, update_all
from shared.postgres.naming import schema_table


class TransitionNotAllowed(Conflict):
    """The payment's status does not allow this."""


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Selections and batch writes of payments."""

    def locked(self, payment_ids: Sequence[Any]) -> dict[str, "Payment"]:
        """These payments by their id as text, row-locked in ascending order until the commit."""
        return {str(payment.pk): payment for payment in self.raw(_LOCK, [list(payment_ids)])}

    def write(self, payments: Sequence["Payment"]) -> None:
        """
        Write what mutators changed, each row only from the status it was loaded with.

        Raises:
            RowsChangedMeanwhile: a row was not in that status any more.

        """
        update_all(payments, _CHANGED, unchanged={"status": "loaded_status"})
        for payment in payments:
            payment.loaded_status = payment.status


_LOCK = "SELECT * FROM payments.payment WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE"
_CHANGED = (
    "status",
    "authorised_minor",
    "in_doubt",
    "decline_reason",
    "failure_reason",
    "assessed_at",
    "authorised_at",
    "updated_at",
)


class Payment(models.Model):
    """
    A payer's money on its way to a merchant.

    Nothing sets a status from outside: `initiate` makes a payment, the mutators move it along
    `payments.domain.lifecycle`, and `objects.write` stores what they did.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    correlation_id = models.UUIDField()
    merchant_id = models.UUIDField()
    merchant_name = models.TextField()
    merchant_email = models.TextField()
    payee_account_id = models.UUIDField()
    idempotency_key = models.TextField()
    status = models.TextField(choices=[(s, s.name) for s in PaymentStatus])
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    authorised_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    in_doubt = models.BooleanField(default=False)
    method_type = models.TextField()
    method_token = models.TextField()
    description = models.TextField(default="", blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    decline_reason = models.TextField(default="", blank=True)
    failure_reason = models.TextField(default="", blank=True)
    assessed_at = models.DateTimeField(null=True, help_text="When fraud first decided.")
    authorised_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    append_only: ClassVar[frozenset[str]] = frozenset({"DELETE"})
    loaded_status: str
    objects: ClassVar[PaymentQuerySet] = PaymentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "payment")
        constraints = [
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
            models.CheckConstraint(
                condition=Q(captured_minor__gte=0, captured_minor__lte=F("authorised_minor")),
                name="payment_captured_within_authorised",
            ),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("captured_minor")),
                name="payment_refunded_within_captured",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant_id", "created_at", "id"], name="payment_by_merchant"),
            models.Index(
                fields=["status"],
                name="payment_undecided",
                condition=Q(status__in=["PENDING", "IN_REVIEW"]),
            ),
        ]

    def __str__(self) -> str:
        """Id and status."""
        return f"{self.pk} {self.status}"

    @classmethod
    def from_db(cls, *values: Any, **options: Any) -> "Payment":
        """Remember the status a payment was loaded with: the guard of its next write."""
        payment = super().from_db(*values, **options)
        payment.loaded_status = payment.status
        return payment

    # Factories

    @classmethod
    def initiate(cls, *, now: datetime, **terms: Any) -> "Payment":
        """Create a PENDING payment with a story of its own; `terms` are its unchanging columns."""
        payment = cls(
            correlation_id=new_id(),
            status=PaymentStatus.PENDING,
            created_at=now,
            updated_at=now,
            **terms,
        )
        insert_all([payment])
        return payment

    # Mutators

    def pass_assessment(self, *, now: datetime) -> None:
        """Fraud has nothing against it: it stays, or becomes again, PENDING."""
        if self.status != PaymentStatus.PENDING:
            self._become(PaymentStatus.PENDING, now)
        self._note_assessment(now)

    def hold_for_review(self, *, now: datetime) -> None:
        """Fraud asks an operator."""
        self._become(PaymentStatus.IN_REVIEW, now)
        self._note_assessment(now)

    def authorise(self, *, now: datetime) -> None:
        """The processor holds the whole amount."""
        self._become(PaymentStatus.AUTHORISED, now)
        self.authorised_minor, self.authorised_at = self.amount_minor, now

    def decline(self, *, reason: str, now: datetime) -> None:
        """Fraud or the issuer decided against it."""
        self._become(PaymentStatus.DECLINED, now)
        self.decline_reason = reason
        self._note_assessment(now)

    def fail(self, *, reason: str, now: datetime) -> None:
        """It could not be done."""
        self._become(PaymentStatus.FAILED, now)
        self.failure_reason = reason

    def await_processor(self, *, in_doubt: bool, now: datetime) -> None:
        """The processor has not decided; `in_doubt` while it may have, without our knowing."""
        if not self.awaits_processor:
            raise TransitionNotAllowed(f"A payment that is {self.status} awaits no processor.")
        self.in_doubt, self.updated_at = in_doubt, now

    # Queries

    def facts(self, now: datetime) -> dict[str, Any]:
        """What every event about this payment carries."""
        return {
            "correlation_id": str(self.correlation_id),
            "subject_id": str(self.pk),
            "merchant_id": str(self.merchant_id),
            "occurred_at": clock.iso(now),
            "payment_id": str(self.pk),
            "payee_account_id": str(self.payee_account_id),
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "merchant_name": self.merchant_name,
            "merchant_email": self.merchant_email,
        }

    # Properties

    @property
    def is_decided(self) -> bool:
        """Whether it is AUTHORISED, DECLINED or FAILED."""
        return self.status in DECIDED

    @property
    def awaits_assessment(self) -> bool:
        """Whether fraud has not decided yet: the first decision counts, later ones do not."""
        return self.status == PaymentStatus.PENDING and self.assessed_at is None

    @property
    def awaits_review(self) -> bool:
        """Whether an operator's decision is awaited."""
        return self.status == PaymentStatus.IN_REVIEW

    @property
    def awaits_processor(self) -> bool:
        """Whether a processor's answer may still decide it."""
        return self.status == PaymentStatus.PENDING

    def _become(self, status: PaymentStatus, now: datetime) -> None:
        if not may_follow(PaymentStatus(self.status), status):
            raise TransitionNotAllowed(f"A payment that is {self.status} cannot become {status}.")
        self.status, self.in_doubt, self.updated_at = status, False, now

    def _note_assessment(self, now: datetime) -> None:
        self.assessed_at = self.assessed_at or now
