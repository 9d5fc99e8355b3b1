"""The Payment aggregate: what a payment is and what may become of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models

from payments import conf
from payments.domain.lifecycle import (
    DECIDED,
    HOLDING,
    PaymentStatus,
    may_follow,
    status_without_hold,
)
from payments.domain.processor import Redirect
from payments.models.payment_table import CHANGED, CONSTRAINTS, INDEXES, LOCK, LOCK_OVERDUE
from shared import clock
from shared.errors import Conflict, Rejected
from shared.identifiers import new_id
from shared.postgres.batches import insert_all, update_all
from shared.postgres.naming import schema_table


class TransitionNotAllowed(Conflict):
    """The payment's status does not allow this."""


class PaymentNotCapturable(Conflict):
    """Nothing is held that could be captured."""


class AlreadyCaptured(Conflict):
    """The payment was captured, and what was left of its hold is released."""


class CaptureExceedsAuthorisation(Rejected):
    """That is more than what is held and not being captured already."""


class PaymentNotVoidable(Conflict):
    """Nothing is held that could be released, it is being captured, or its release was refused."""


class PaymentNotRefundable(Conflict):
    """Nothing was captured that could be given back."""


class RefundExceedsCaptured(Conflict):
    """That is more than what was captured and is not refunded or being refunded already."""


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Selections and batch writes of payments."""

    def locked(self, payment_ids: Sequence[Any]) -> dict[str, "Payment"]:
        """These payments by their id as text, row-locked in ascending order until the commit."""
        return {str(payment.pk): payment for payment in self.raw(LOCK, [list(payment_ids)])}

    def locked_overdue(self, *, now: datetime, limit: int) -> list["Payment"]:
        """Payments whose hold is over and not being captured, row-locked; busy ones left out."""
        return list(self.raw(LOCK_OVERDUE, [now, limit]))

    def write(self, payments: Sequence["Payment"]) -> None:
        """
        Write what mutators changed, each row only from the status it was loaded with.

        Raises:
            RowsChangedMeanwhile: a row was not in that status any more.

        """
        update_all(payments, CHANGED, unchanged={"status": "loaded_status"})
        for payment in payments:
            payment.loaded_status = payment.status


class Payment(models.Model):
    """
    A payer's money on its way to a merchant.

    Nothing sets a status or an amount from outside: `initiate` makes a payment, the mutators move
    it along `payments.domain.lifecycle`, and `objects.write` stores what they did. A movement of
    money is three steps: `reserve_…` before the processor is asked, then either the verb, when it
    was done, or `give_back_…`, when it certainly was not.
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
    capturing_minor = models.BigIntegerField(default=0, help_text="Reserved by captures in flight.")
    released_minor = models.BigIntegerField(default=0, help_text="Given back to the payer's limit.")
    refunded_minor = models.BigIntegerField(default=0)
    refunding_minor = models.BigIntegerField(default=0, help_text="Reserved by refunds in flight.")
    is_closing = models.BooleanField(
        default=False, help_text="A void, an expiry or a final capture is in flight."
    )
    in_doubt = models.BooleanField(default=False, help_text="The outcome of a call is unknown.")
    method_type = models.TextField()
    method_token = models.TextField(blank=True)
    method_details = models.JSONField(default=dict, blank=True, help_text="Brand, last4, bank …")
    captures_at_once = models.BooleanField(default=False)
    is_capturing_at_once = models.BooleanField(
        default=False, db_default=False, help_text="The capture that belongs to taking it is open."
    )
    return_url = models.TextField(default="", blank=True)
    processor = models.TextField(default="", blank=True, help_text="Who holds the funds.")
    processor_reference = models.TextField(default="", blank=True)
    redirect_url = models.TextField(default="", blank=True, help_text="Where the payer must go.")
    redirect_expires_at = models.DateTimeField(null=True)
    description = models.TextField(default="", blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    decline_reason = models.TextField(default="", blank=True)
    failure_reason = models.TextField(default="", blank=True)
    assessed_at = models.DateTimeField(null=True, help_text="When fraud first decided.")
    authorised_at = models.DateTimeField(null=True)
    captured_at = models.DateTimeField(null=True, help_text="When it was last captured.")
    capture_before = models.DateTimeField(null=True, help_text="When the hold ends.")
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    append_only: ClassVar[frozenset[str]] = frozenset({"DELETE"})
    loaded_status: str
    objects: ClassVar[PaymentQuerySet] = PaymentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "payment")
        constraints = CONSTRAINTS
        indexes = INDEXES

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

    # Mutators of the decision

    def pass_assessment(self, *, now: datetime) -> None:
        """Fraud has nothing against it: it stays, or becomes again, PENDING."""
        if self.status != PaymentStatus.PENDING:
            self._become(PaymentStatus.PENDING, now)
        self._note_assessment(now)

    def hold_for_review(self, *, now: datetime) -> None:
        """Fraud asks an operator."""
        self._become(PaymentStatus.IN_REVIEW, now)
        self._note_assessment(now)

    def authorise(self, *, processor: str, reference: str, now: datetime) -> None:
        """A processor holds the whole amount, until `capture_before`."""
        self._become(PaymentStatus.AUTHORISED, now)
        self.authorised_minor, self.authorised_at = self.amount_minor, now
        self.processor, self.processor_reference = processor, reference
        latest = now + timedelta(days=conf.HOLD_DAYS)
        self.capture_before = min(self.capture_before or latest, latest)
        self.redirect_url = ""

    def decline(self, *, reason: str, now: datetime) -> None:
        """Fraud or the issuer decided against it."""
        self._become(PaymentStatus.DECLINED, now)
        self.decline_reason, self.redirect_url = reason, ""
        self._note_assessment(now)

    def fail(self, *, reason: str, now: datetime) -> None:
        """It could not be done."""
        self._become(PaymentStatus.FAILED, now)
        self.failure_reason, self.redirect_url = reason, ""

    def send_payer_to(self, redirect: Redirect, *, now: datetime) -> None:
        """The payer must go there before the processor can decide."""
        self._expect(self.awaits_processor)
        self.redirect_url, self.redirect_expires_at = redirect.url, redirect.expires_at
        self.updated_at = now

    def request_cancel(self, *, now: datetime) -> None:
        """Nobody wants it any more: what may be held will be released once that is known."""
        self._expect(self.awaits_processor)
        self.cancel_requested_at = self.cancel_requested_at or now
        self.updated_at = now

    def note_doubt(self, *, in_doubt: bool, now: datetime) -> None:
        """Say whether the outcome of one of its calls is unknown."""
        if self.in_doubt != in_doubt:
            self.in_doubt, self.updated_at = in_doubt, now

    # Mutators of captures

    def reserve_capture(self, amount_minor: int | None, *, is_final: bool, now: datetime) -> int:
        """
        Set an amount of the hold aside, all that is free by default; returns it in minor units.

        Raises: AlreadyCaptured, PaymentNotCapturable, CaptureExceedsAuthorisation.
        """
        if self.captured_minor and not self.is_holding:
            raise AlreadyCaptured
        if not self.can_be_captured(now):
            raise PaymentNotCapturable
        free_minor = 0 if self.is_closing else self.held_minor - self.capturing_minor
        amount_minor = free_minor if amount_minor is None else amount_minor
        if not 0 < amount_minor <= free_minor:
            raise CaptureExceedsAuthorisation
        self.capturing_minor += amount_minor
        self.is_closing, self.updated_at = is_final, now
        return amount_minor

    def reserve_capture_at_once(self, *, now: datetime) -> int:
        """Set the whole hold aside: it is not decided before that is captured or given back."""
        amount_minor = self.reserve_capture(None, is_final=True, now=now)
        self.is_capturing_at_once = True
        return amount_minor

    def capture(self, amount_minor: int, *, is_final: bool, now: datetime) -> int:
        """Take a reserved amount; a final one releases the rest: returns how much that was."""
        self.give_back_capture(amount_minor, is_final=is_final, now=now)
        self.captured_minor += amount_minor
        self.captured_at = now
        released_minor = self.held_minor - self.capturing_minor if is_final else 0
        self.released_minor += released_minor
        self._become(self._status_by_amounts(PaymentStatus.PARTIALLY_CAPTURED), now)
        return released_minor

    def give_back_capture(self, amount_minor: int, *, is_final: bool, now: datetime) -> None:
        """A capture was not done: its amount is free again."""
        self.capturing_minor -= amount_minor
        self.is_capturing_at_once = False
        self.is_closing, self.updated_at = self.is_closing and not is_final, now

    # Mutators of the hold

    def reserve_release(self, *, now: datetime) -> None:
        """From now on nothing is captured. Raises: PaymentNotVoidable."""
        if not self.is_holding or self.is_closing or self.capturing_minor:
            raise PaymentNotVoidable
        self.is_closing, self.updated_at = True, now

    def release(self, ended_as: PaymentStatus, *, now: datetime) -> int:
        """
        Let go of what is held; returns how much that was.

        The payment becomes `ended_as` (VOIDED or EXPIRED), or what its captures made of it.
        """
        released_minor = self.held_minor
        self.released_minor += released_minor
        self._become(self._status_by_amounts(ended_as), now)
        self.is_closing = False
        return released_minor

    def give_back_release(self, *, now: datetime) -> None:
        """The hold was not released: it can be captured again."""
        self.is_closing, self.updated_at = False, now

    # Mutators of refunds

    def reserve_refund(self, amount_minor: int | None, *, now: datetime) -> int:
        """
        Set captured money aside, all that is free by default; returns it in minor units.

        Raises: PaymentNotRefundable, RefundExceedsCaptured.
        """
        if not self.captured_minor:
            raise PaymentNotRefundable
        free_minor = self.captured_minor - self.refunded_minor - self.refunding_minor
        amount_minor = free_minor if amount_minor is None else amount_minor
        if not 0 < amount_minor <= free_minor:
            raise RefundExceedsCaptured
        self.refunding_minor += amount_minor
        self.updated_at = now
        return amount_minor

    def refund(self, amount_minor: int, *, now: datetime) -> None:
        """A reserved amount went back to the payer."""
        self.give_back_refund(amount_minor, now=now)
        self.refunded_minor += amount_minor
        if not self.is_holding:
            self._become(self._status_by_amounts(PaymentStatus.CAPTURED), now)

    def give_back_refund(self, amount_minor: int, *, now: datetime) -> None:
        """A refund was not done: its amount is free again."""
        self.refunding_minor -= amount_minor
        self.updated_at = now

    # Queries

    def can_be_captured(self, now: datetime) -> bool:
        """Whether something is held, its time is not over and it is not being voided."""
        is_in_time = self.capture_before is None or now < self.capture_before
        is_being_voided = self.is_closing and not self.capturing_minor
        return self.is_holding and is_in_time and not is_being_voided

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
    def held_minor(self) -> int:
        """What the processor holds and nobody has taken, reserved or not."""
        return self.authorised_minor - self.captured_minor - self.released_minor

    @property
    def is_decided(self) -> bool:
        """Whether the answer to taking it is known, its capture included if one follows at once."""
        return self.status in DECIDED and not self.is_capturing_at_once

    @property
    def is_at_rest(self) -> bool:
        """Whether it is decided, and nothing that would end its hold is in flight."""
        return self.is_decided and not self.is_closing

    @property
    def came_to_nothing(self) -> bool:
        """Whether it is decided, nothing is held and nothing was taken."""
        return self.is_decided and not self.is_holding and not self.captured_minor

    @property
    def is_holding(self) -> bool:
        """Whether it is in a status in which a processor holds funds."""
        return self.status in HOLDING

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

    @property
    def awaits_payer(self) -> bool:
        """Whether the payer has to go somewhere first."""
        return self.awaits_processor and bool(self.redirect_url)

    def _status_by_amounts(self, otherwise: PaymentStatus) -> PaymentStatus:
        if self.held_minor or not self.captured_minor:
            return otherwise
        return status_without_hold(
            captured_minor=self.captured_minor, refunded_minor=self.refunded_minor
        )

    def _become(self, status: PaymentStatus, now: datetime) -> None:
        if not may_follow(PaymentStatus(self.status), status):
            raise TransitionNotAllowed(f"A payment that is {self.status} cannot become {status}.")
        self.status, self.updated_at = status, now

    def _expect(self, condition: bool) -> None:
        if not condition:
            raise TransitionNotAllowed(f"A payment that is {self.status} does not allow this.")

    def _note_assessment(self, now: datetime) -> None:
        self.assessed_at = self.assessed_at or now
