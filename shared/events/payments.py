"""What `payments` publishes."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class PaymentEvent(DomainEvent):
    """What every event about one payment carries; `subject_id` is the payment's id."""

    payment_id: str
    payee_account_id: str
    amount_minor: int
    currency: str
    merchant_name: str
    merchant_email: str


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionInitiated(PaymentEvent):
    """
    Published when a payment was accepted as PENDING.

    Nothing has been decided and no money is held.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Initiated"

    payment_method_type: str
    payment_method_token: str | None = None
    instrument_fingerprint: str = ""
    """The same for the same card or account, whatever token stands for it; empty if unknown."""


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionAuthorised(PaymentEvent):
    """
    Published when the processor holds the funds: the payment is AUTHORISED.

    The whole amount is held with `processor` until it is captured, voided or expires at
    `capture_before` (ISO 8601).
    """

    event_type: ClassVar[str] = "Payment.Transaction.Authorised"

    processor: str
    processor_reference: str
    capture_before: str


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionDeclined(PaymentEvent):
    """
    Published when fraud or the issuer decided against the payment. Final.

    Nothing is held.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Declined"

    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionFailed(PaymentEvent):
    """
    Published when the payment could not be carried out for technical reasons. Final.

    Nobody decided against it and nothing is held.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Failed"

    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionCaptured(PaymentEvent):
    """
    Published when the processor took held funds: all, a part, or one part of several.

    `captured_amount_minor` is what this capture took, `total_captured_amount_minor` all so far. A
    final capture releases the rest of the hold with it: `released_amount_minor`, else 0.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Captured"

    processor: str
    operation_id: str
    captured_amount_minor: int
    total_captured_amount_minor: int
    released_amount_minor: int
    is_final: bool


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionVoided(PaymentEvent):
    """
    Published when what was left of a hold was released at the merchant's wish.

    The payment is VOIDED, or what its captures made of it when some was captured before.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Voided"

    processor: str
    operation_id: str
    released_amount_minor: int


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionExpired(PaymentEvent):
    """
    Published when what was left of a hold was released because nobody captured it in time.

    The payment is EXPIRED, or what its captures made of it when some was captured before.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Expired"

    processor: str
    operation_id: str
    released_amount_minor: int


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionRefunded(PaymentEvent):
    """
    Published when the processor gave captured money back: all or a part.

    `refunded_amount_minor` is what this refund gave, `total_refunded_amount_minor` all so far.
    `reason` is the merchant's.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Refunded"

    processor: str
    refund_id: str
    refunded_amount_minor: int
    total_refunded_amount_minor: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PaymentRefundFailed(PaymentEvent):
    """
    Published when a refund was declined or could not be done. No money moved.

    What it had reserved can be refunded again. `reason` is the processor's.
    """

    event_type: ClassVar[str] = "Payment.Refund.Failed"

    processor: str
    refund_id: str
    refund_amount_minor: int
    reason: str
