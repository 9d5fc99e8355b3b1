"""Operations: the calls to processors, each a row before it is made."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import models
from django.db.models import Q

from payments import conf
from payments.domain.processor import IN_DOUBT, Outcome, OutcomeKind
from payments.models.payment import Payment
from shared.identifiers import new_id
from shared.models import Outstanding
from shared.postgres.batches import insert_all, update_all
from shared.postgres.naming import schema_table


class OperationKind(StrEnum):
    """What a processor is asked to do."""

    AUTHORISE = "AUTHORISE"


class OperationQuerySet(models.QuerySet["Operation"]):
    """Batch writes of operations."""

    def plan(self, operations: Sequence["Operation"]) -> None:
        """Insert operations, due now; one that the same event planned before is left alone."""
        insert_all(operations, ignore_conflicts=True)

    def write_outcomes(self, operations: Sequence["Operation"]) -> None:
        """Write what became of operations."""
        update_all(operations, _CHANGED)


_CHANGED = ("outcome", "processor_reference", "reason", "sends", "inquiries", "due_at")


class Operation(Outstanding):
    """
    One call to a processor, committed before it is made.

    Its id is the processor's idempotency key. While the outcome is empty or in doubt the row is due
    again and again; an outcome in doubt is asked about before anything is sent again.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="operations")
    cause_event_id = models.UUIDField(help_text="The event that asked for it.")
    kind = models.TextField(choices=[(kind, kind.name) for kind in OperationKind])
    processor = models.TextField()
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    method_type = models.TextField()
    method_token = models.TextField()
    outcome = models.TextField(default="", blank=True)
    processor_reference = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    sends = models.SmallIntegerField(default=0, help_text="Times it was sent to the processor.")
    inquiries = models.IntegerField(default=0, help_text="Times the processor was asked about it.")

    objects = OperationQuerySet.as_manager()

    class Meta:
        db_table = schema_table("payments", "operation")
        constraints = [
            models.UniqueConstraint(
                fields=["payment", "cause_event_id"], name="operation_once_per_event"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["", *(kind.value for kind in OutcomeKind)]),
                name="operation_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=1), name="operation_amount_above_zero"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="operation_due", condition=Q(due_at__isnull=False)
            ),
            models.Index(
                fields=["parked_at"], name="operation_parked", condition=Q(parked_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        """Kind, processor and outcome."""
        return f"{self.kind} with {self.processor}: {self.outcome or 'not answered'}"

    # Factories

    @classmethod
    def to_authorise(cls, payment: Payment, *, processor: str, cause_event_id: str) -> "Operation":
        """The call that asks a processor to hold the payment's amount; not saved."""
        return cls(
            payment=payment,
            correlation_id=payment.correlation_id,
            cause_event_id=UUID(cause_event_id),
            kind=OperationKind.AUTHORISE,
            processor=processor,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            method_type=payment.method_type,
            method_token=payment.method_token,
        )

    # Mutators

    def conclude(self, outcome: Outcome, *, now: datetime) -> None:
        """Take an outcome; one that settles nothing makes the operation due again."""
        if self.was_inquiry:
            self.inquiries += 1
        # What went without an end counts as a send although it did not arrive: a call that kills
        # its dispatcher every time must come to an end, too.
        if not self.was_inquiry or (outcome.kind == OutcomeKind.NOT_SENT and self.went_without_end):
            self.sends += 1
        self.outcome, self.reason = outcome.kind, outcome.reason
        self.processor_reference = outcome.reference or self.processor_reference
        self.due_at = now + timedelta(seconds=self._pause_seconds()) if self.is_open else None

    # Properties

    @property
    def was_inquiry(self) -> bool:
        """
        Whether the processor is asked before anything is sent: the outcome is in doubt.

        A claim that went without an end is doubt, too, whatever was known before it: a dispatcher
        died, or failed, between call and record.
        """
        return self.is_in_doubt or self.went_without_end

    @property
    def went_without_end(self) -> bool:
        """Whether the claim before this one died or failed between call and record."""
        return self.attempts > self.ended + 1 or bool(self.last_error)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the processor may have carried it out without our knowing."""
        return self.outcome in IN_DOUBT

    @property
    def is_open(self) -> bool:
        """Whether it has to be sent or asked about again."""
        if self.outcome == OutcomeKind.NOT_SENT:
            return self.sends < conf.MAX_SENDS
        return self.is_in_doubt

    def _pause_seconds(self) -> float:
        if self.outcome == OutcomeKind.NOT_SENT:
            return 2.0**self.sends
        return conf.INQUIRY_SECONDS[min(self.inquiries, len(conf.INQUIRY_SECONDS) - 1)]
