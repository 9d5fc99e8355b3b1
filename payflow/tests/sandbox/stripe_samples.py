"""
What Stripe's published samples and types say about its objects: which fields, of which kind.

The names are those of the fixtures in Stripe's OpenAPI repository, without the ones that later
versions of the API have removed (`invoice`, a charge's `refunds`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import stripe

_TEXT, _NUMBER, _FLAG, _OBJECT, _LIST = (str,), (int,), (bool,), (dict,), (list,)
_NONE = type(None)


@dataclass(frozen=True)
class Sample:
    """The fields of an object; those in `null` may be null, whatever else they are."""

    model: type[Any]
    fields: Mapping[str, tuple[type, ...]]
    null: str = ""
    choices: Mapping[str, set[str]] = field(default_factory=dict)

    def problems(self, content: Mapping[str, Any]) -> list[str]:
        """What is not as published; nothing, if all is well."""
        nullable = dict.fromkeys(self.null.split(), (str, int, bool, dict, _NONE))
        kinds = dict(self.fields) | nullable
        found = [f"{name} is missing" for name in kinds if name not in content]
        known = set(self.model.__annotations__)
        for name, value in content.items():
            if name not in known:
                found.append(f"{name} is not Stripe's")
            elif not isinstance(value, kinds.get(name, object)):
                found.append(f"{name} is {type(value).__name__}")
            elif name in self.choices and value not in self.choices[name]:
                found.append(f"{name} is {value!r}")
        return found


INTENT = Sample(
    stripe.PaymentIntent,
    {
        "id": _TEXT, "object": _TEXT, "amount": _NUMBER, "amount_capturable": _NUMBER,
        "amount_details": _OBJECT, "amount_received": _NUMBER, "capture_method": _TEXT,
        "client_secret": _TEXT, "confirmation_method": _TEXT, "created": _NUMBER,
        "currency": _TEXT, "livemode": _FLAG, "metadata": _OBJECT,
        "payment_method_options": _OBJECT, "payment_method_types": _LIST, "status": _TEXT,
    },
    null="application application_fee_amount automatic_payment_methods canceled_at"
    " cancellation_reason customer description last_payment_error latest_charge next_action"
    " on_behalf_of payment_method processing receipt_email review setup_future_usage shipping"
    " statement_descriptor statement_descriptor_suffix transfer_data transfer_group",
    choices={
        "object": {"payment_intent"},
        "status": {
            "canceled", "processing", "requires_action", "requires_capture",
            "requires_confirmation", "requires_payment_method", "succeeded",
        },
    },
)  # fmt: skip

CHARGE = Sample(
    stripe.Charge,
    {
        "id": _TEXT, "object": _TEXT, "amount": _NUMBER, "amount_captured": _NUMBER,
        "amount_refunded": _NUMBER, "billing_details": _OBJECT, "captured": _FLAG,
        "created": _NUMBER, "currency": _TEXT, "disputed": _FLAG, "fraud_details": _OBJECT,
        "livemode": _FLAG, "metadata": _OBJECT, "outcome": _OBJECT, "paid": _FLAG,
        "payment_method_details": _OBJECT, "refunded": _FLAG, "status": _TEXT,
    },
    null="application application_fee application_fee_amount balance_transaction"
    " calculated_statement_descriptor customer description failure_balance_transaction failure_code"
    " failure_message on_behalf_of payment_intent payment_method receipt_email receipt_number"
    " receipt_url review shipping source_transfer statement_descriptor"
    " statement_descriptor_suffix transfer_data transfer_group",
    choices={"object": {"charge"}, "status": {"failed", "pending", "succeeded"}},
)  # fmt: skip

REFUND = Sample(
    stripe.Refund,
    {
        "id": _TEXT, "object": _TEXT, "amount": _NUMBER, "created": _NUMBER, "currency": _TEXT,
        "metadata": _OBJECT, "status": _TEXT,
    },
    null="balance_transaction charge payment_intent reason receipt_number source_transfer_reversal"
    " transfer_reversal",
    choices={
        "object": {"refund"},
        "status": {"pending", "requires_action", "succeeded", "failed", "canceled"},
    },
)  # fmt: skip
