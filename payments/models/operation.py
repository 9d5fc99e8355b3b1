"""Operations: the calls to processors, each a row before it is made."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from payments import conf
from payments.domain.processor import (
    CIRCUIT_OPEN,
    INSTRUMENT_GONE,
    RESOLVED_BY_PEOPLE,
    UNDECIDED,
    OperationKind,
    Outcome,
    OutcomeKind,
)
from payments.models.operation_table import (
    CHANGED,
    CONSTRAINTS,
    IN_DOUBT,
    INDEXES,
    LOOKED_AT,
    NEVER_GIVEN_UP,
    Purpose,
    Verdict,
)
from payments.models.payment import Payment
from shared.identifiers import new_id
from shared.models import Outstanding
from shared.money import format_amount
from shared.postgres.batches import insert_all, update_all
from shared.postgres.naming import schema_table


class OperationQuerySet(models.QuerySet["Operation"]):
    """Selections and batch writes of operations."""

    def plan(self, operations: Sequence["Operation"]) -> None:
        """Insert operations, due now; one that the same event planned before is left alone."""
        insert_all(operations, ignore_conflicts=True)

    def write_outcomes(self, operations: Sequence["Operation"]) -> None:
        """Write what became of operations."""
        update_all(operations, CHANGED)

    def payments_in_doubt(self, payment_ids: Sequence[Any]) -> set[Any]:
        """Those of the payments that have an operation whose outcome is unknown."""
        doubtful = self.filter(IN_DOUBT, payment_id__in=payment_ids)
        return set(doubtful.values_list("payment_id", flat=True)) if payment_ids else set()

    def place(self, operation: "Operation") -> None:
        """Insert an operation that a merchant asked for. Raises: IntegrityError for a used key."""
        operation.save(force_insert=True)

    def taken_from_workers(self, operation_id: Any) -> "Operation":
        """An operation, row-locked; whoever is working on it finds its claim void."""
        operation = self.select_for_update().get(pk=operation_id)
        self.filter(pk=operation_id).update(
            attempts=F("attempts") + 1, ended=F("attempts") + 1, parked_at=None, last_error=""
        )
        operation.parked_at = None
        return operation

    def make_due(self, operation_id: UUID, processor: str) -> bool:
        """Have a processor asked about an operation now, also about one that was given up."""
        # One that is under way keeps its lease and is looked at soon enough.
        waiting = self.filter(pk=operation_id, processor=processor, attempts=F("ended"))
        heard = waiting.filter(LOOKED_AT)
        return heard.filter(attempts__gt=0, parked_at=None).update(due_at=Now()) == 1

    def is_under_way(self, operation_id: UUID, processor: str) -> bool:
        """Whether a worker is busy with it at this moment."""
        busy = self.filter(pk=operation_id, processor=processor, attempts__gt=F("ended"))
        return busy.filter(LOOKED_AT).exists()

    def take_back_unsent(self, payment: Payment) -> bool:
        """
        Close the payment's calls that nobody has claimed yet; True when none is open after that.

        Waits for nobody: a call that is being claimed counts as sent.
        """
        unsent = self.filter(payment=payment, attempts=0, verdict="")
        unsent.update(verdict=Verdict.FAILED, reason="cancelled", due_at=None)
        return not self.filter(payment=payment, verdict="").exists()


class Operation(Outstanding):
    """
    One call to a processor, committed before it is made.

    Its id is the processor's idempotency key. `outcome` is what we know after the last call,
    `verdict` what became of it in the end: empty while it has to be sent or asked about again. A
    refund's operation is the refund.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="operations")
    merchant_id = models.UUIDField()
    idempotency_key = models.TextField(null=True, help_text="The merchant's, if one asked for it.")
    cause_event_id = models.UUIDField(null=True, help_text="The event that asked for it.")
    kind = models.TextField(choices=[(kind, kind.name) for kind in OperationKind])
    purpose = models.TextField(choices=[(p, p.name) for p in Purpose], default="MERCHANT")
    processor = models.TextField()
    authorisation_reference = models.TextField(default="", blank=True)
    reverses = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="reversals",
        help_text="The late success that it undoes.",
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    is_final = models.BooleanField(default=True, help_text="A capture that releases the rest.")
    merchant_reason = models.TextField(default="", blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    outcome = models.TextField(default="", blank=True)
    verdict = models.TextField(default="", blank=True)
    is_retryable = models.BooleanField(default=False, help_text="The decline may be tried again.")
    processor_reference = models.TextField(default="", blank=True)
    reason = models.TextField(default="", blank=True)
    sends = models.SmallIntegerField(default=0, help_text="Times it was sent to the processor.")
    inquiries = models.IntegerField(default=0, help_text="Times the processor was asked about it.")
    late_looks = models.SmallIntegerField(default=0, help_text="Times asked after it was given up.")

    objects: ClassVar[OperationQuerySet] = OperationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "operation")
        constraints = CONSTRAINTS
        indexes = INDEXES

    def __str__(self) -> str:
        """Kind, amount, processor and what became of it."""
        amount = f"{format_amount(self.amount_minor, self.currency)} {self.currency}"
        outcome = self.verdict or self.outcome or "planned"
        return f"{self.kind} {amount} with {self.processor}: {outcome}"

    # Factories

    @classmethod
    def to_authorise(cls, payment: Payment, *, processor: str, cause_event_id: UUID) -> "Operation":
        """The call that asks a processor to hold the payment's amount; not saved."""
        return cls._of(
            payment,
            OperationKind.AUTHORISE,
            payment.amount_minor,
            processor=processor,
            cause_event_id=cause_event_id,
        )

    @classmethod
    def to_capture(
        cls,
        payment: Payment,
        amount_minor: int | None,
        *,
        now: datetime,
        is_final: bool = True,
        **wishes: Any,
    ) -> "Operation":
        """The call that takes an amount, reserved here. Raises: see `Payment.reserve_capture`."""
        amount_minor = payment.reserve_capture(amount_minor, is_final=is_final, now=now)
        wishes |= {"is_final": is_final}
        return cls._of(payment, OperationKind.CAPTURE, amount_minor, **wishes)

    @classmethod
    def to_capture_at_once(cls, payment: Payment, *, now: datetime) -> "Operation":
        """The call that takes all of a new hold. Raises: see `Payment.reserve_capture`."""
        amount_minor = payment.reserve_capture_at_once(now=now)
        wishes = {"is_final": True, "purpose": Purpose.AT_ONCE}
        return cls._of(payment, OperationKind.CAPTURE, amount_minor, **wishes)

    @classmethod
    def to_release(
        cls, payment: Payment, *, purpose: Purpose, now: datetime, **wishes: Any
    ) -> "Operation":
        """The call that releases what is held, closed here. Raises: PaymentNotVoidable."""
        payment.reserve_release(now=now)
        wishes |= {"purpose": purpose}
        return cls._of(payment, OperationKind.VOID, payment.held_minor, **wishes)

    @classmethod
    def to_refund(
        cls, payment: Payment, amount_minor: int | None, *, now: datetime, **wishes: Any
    ) -> "Operation":
        """The call that gives money back, reserved here. Raises: see `Payment.reserve_refund`."""
        amount_minor = payment.reserve_refund(amount_minor, now=now)
        return cls._of(payment, OperationKind.REFUND, amount_minor, **wishes)

    @classmethod
    def to_reverse(cls, late: "Operation", payment: Payment) -> "Operation":
        """The call that undoes a late success: a hold is released, a capture given back."""
        is_hold = late.kind == OperationKind.AUTHORISE
        return cls._of(
            payment,
            OperationKind.VOID if is_hold else OperationKind.REFUND,
            late.amount_minor,
            processor=late.processor,
            purpose=Purpose.REVERSAL,
            reverses=late,
            authorisation_reference=late.processor_reference
            if is_hold
            else late.authorisation_reference,
        )

    @classmethod
    def _of(
        cls, payment: Payment, kind: OperationKind, amount_minor: int, **columns: Any
    ) -> "Operation":
        facts: dict[str, Any] = {
            "correlation_id": payment.correlation_id,
            "merchant_id": payment.merchant_id,
            "currency": payment.currency,
            "processor": payment.processor,
            "authorisation_reference": payment.processor_reference,
            # What the database would fill in, for those that never meet it: dry runs.
            "attempts": 0,
            "ended": 0,
            "last_error": "",
        }
        return cls(payment=payment, kind=kind, amount_minor=amount_minor, **(facts | columns))

    # Mutators

    def conclude(self, outcome: Outcome, *, now: datetime) -> None:
        """Take an outcome; unless it settles the operation, it is due again."""
        self._count(outcome)
        self.outcome = outcome.kind
        # A late look finds out what became of it, not why it was given up.
        self.reason = self.reason if self.verdict else outcome.reason
        self.is_retryable = outcome.is_retryable
        self.processor_reference = outcome.reference or self.processor_reference
        self.verdict = self.verdict or self._verdict(now)
        self.due_at = self._due_after(now)
        self.parked_at = None
        if self.purpose == Purpose.REVERSAL and self.verdict == Verdict.DECLINED:
            # Nobody else will miss this money: people have to find out what to do.
            self.verdict, self.due_at, self.parked_at = "", None, now

    def pass_on(self, *, now: datetime) -> None:
        """Another processor is asked instead."""
        self.verdict = Verdict.PASSED_ON
        self.due_at = self._due_after(now)

    def give_up(self, reason: str, *, now: datetime) -> None:
        """It was not done and shall not be; what was in doubt once is still looked at late."""
        self.verdict, self.reason = Verdict.FAILED, reason
        self.due_at = self._due_after(now)

    def resolve(self, verdict: Verdict, *, reason: str) -> None:
        """People say what became of it: nobody is asked any more."""
        self.verdict, self.reason, self.due_at = verdict, reason, None

    def wait_for_its_turn(self, *, now: datetime) -> None:
        """It was not sent, because another has to end first; patience grows to a minute."""
        seconds = conf.TURN_SECONDS * 2 ** min(self.attempts // 4, 7)
        self.due_at = now + timedelta(seconds=min(seconds, 60))

    # Properties

    @property
    def was_inquiry(self) -> bool:
        """
        Whether the processor is asked before anything is sent: the outcome is in doubt.

        A claim that went without an end is doubt, too, whatever was known before it: a dispatcher
        died, or failed, between call and record.
        """
        return bool(self.verdict) or self.outcome in UNDECIDED or self.went_without_end

    @property
    def went_without_end(self) -> bool:
        """Whether the claim before this one died or failed between call and record."""
        return self.attempts > self.ended + 1 or bool(self.last_error)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the processor may have carried it out without our knowing."""
        return not self.verdict and self.outcome == OutcomeKind.UNKNOWN

    @property
    def is_open(self) -> bool:
        """Whether it has to be sent or asked about again."""
        return not self.verdict

    @property
    def needs_people(self) -> bool:
        """Whether it stands still, or its processor has not answered for it yet."""
        return self.is_open and (self.outcome in UNDECIDED or self.due_at is None)

    @property
    def is_late_success(self) -> bool:
        """Whether the processor did it after it had been given up."""
        return self.verdict != Verdict.APPROVED and self.outcome == OutcomeKind.APPROVED

    @property
    def may_go_elsewhere(self) -> bool:
        """Whether another processor may be asked: this one holds nothing, and never will."""
        was_not_done = self.outcome == OutcomeKind.NOT_SENT or self.is_retryable
        is_certain = not self.inquiries and self.reason != RESOLVED_BY_PEOPLE
        return self.kind == OperationKind.AUTHORISE and was_not_done and is_certain

    def _count(self, outcome: Outcome) -> None:
        # What went without an end counts as a send although it did not arrive: a call that kills
        # its dispatcher every time must come to an end, too.
        is_lost = outcome.kind == OutcomeKind.NOT_SENT and self.went_without_end
        is_send = (not self.was_inquiry or is_lost) and outcome.reason != CIRCUIT_OPEN
        self.late_looks += bool(self.verdict)
        self.inquiries += self.was_inquiry
        self.sends += is_send

    def _verdict(self, now: datetime) -> str:
        if self.outcome == OutcomeKind.APPROVED:
            return Verdict.APPROVED
        if self.outcome == OutcomeKind.DECLINED and not self.is_retryable:
            return Verdict.DECLINED
        is_undone = self.outcome not in UNDECIDED
        is_enough = self.sends >= conf.MAX_SENDS or self._was_held_back_for_long(now)
        is_given_up = is_enough and self.purpose not in NEVER_GIVEN_UP
        is_ended = is_given_up or self.reason == RESOLVED_BY_PEOPLE
        return Verdict.FAILED if is_undone and is_ended else ""

    def _was_held_back_for_long(self, now: datetime) -> bool:
        long_ago = now - timedelta(seconds=conf.HELD_BACK_SECONDS)
        return self.reason == CIRCUIT_OPEN and self.created_at < long_ago

    def _due_after(self, now: datetime) -> datetime | None:
        pause_seconds = self._late_pause() if self.verdict else self._pause_seconds()
        return now + timedelta(seconds=pause_seconds) if pause_seconds else None

    def _pause_seconds(self) -> float:
        if self.outcome in UNDECIDED:
            return conf.INQUIRY_SECONDS[min(self.inquiries, len(conf.INQUIRY_SECONDS) - 1)]
        if self.reason == CIRCUIT_OPEN:
            return conf.HELD_BACK_PAUSE_SECONDS
        # Some are sent again for ever: a power without a limit would overflow.
        return min(2.0 ** min(self.sends, 20), conf.INQUIRY_SECONDS[-1])

    def _late_pause(self) -> float:
        # A send that was in doubt may still be under way when we give up.
        was_given_up = (
            self.verdict in (Verdict.FAILED, Verdict.PASSED_ON) or self.reason == INSTRUMENT_GONE
        )
        is_watched = was_given_up and self.inquiries > 0 and not self.is_late_success
        if is_watched and self.late_looks < len(conf.LATE_LOOK_SECONDS):
            return conf.LATE_LOOK_SECONDS[self.late_looks]
        return 0
