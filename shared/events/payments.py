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


@dataclass(frozen=True, kw_only=True)
class PaymentTransactionAuthorised(PaymentEvent):
    """
    Published when the processor holds the funds: the payment is AUTHORISED.

    The whole amount is held with `processor` until it is captured, voided or expires.
    """

    event_type: ClassVar[str] = "Payment.Transaction.Authorised"

    processor: str
    processor_reference: str


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
