"""
Stripe, as a processor: manual-capture PaymentIntents through its official library.

What it sends is in `stripe_calls`, imported when Stripe is first called: the library is optional.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from uuid import UUID

from django.conf import settings

from payments.adapters.stripe_intent import OPERATION
from payments.domain.processor import (
    CURRENCY_NOT_TAKEN,
    INSTRUMENT_NOT_TAKEN,
    CallbackNotAuthentic,
    Card,
    Instruction,
    Outcome,
    OutcomeKind,
    ProcessorToken,
)

OTHER_UNITS = frozenset({"ISK", "MGA", "UGX"})
"""Currencies whose smallest unit is another one to Stripe than to ISO 4217: never sent there."""


class StripeProcessor:
    """Cards, and Stripe's own tokens and payment methods."""

    name = "stripe"
    instruments = (Card, ProcessorToken)

    @property
    def is_configured(self) -> bool:
        """Whether there is a key, and the optional library to use it with."""
        return bool(settings.STRIPE_SECRET_KEY) and find_spec("stripe") is not None

    def authorise(self, instruction: Instruction) -> Outcome:
        """Hold the amount with a confirmed PaymentIntent."""
        if not isinstance(instruction.instrument, self.instruments):
            return Outcome(OutcomeKind.NOT_SENT, reason=INSTRUMENT_NOT_TAKEN)
        if instruction.currency in OTHER_UNITS:
            return Outcome(OutcomeKind.NOT_SENT, reason=CURRENCY_NOT_TAKEN)
        return self._send(instruction)

    def capture(self, instruction: Instruction) -> Outcome:
        """Take an amount from the hold; several captures need Stripe's multicapture."""
        return self._send(instruction)

    def void(self, instruction: Instruction) -> Outcome:
        """Release what is left of the hold; one released before is APPROVED."""
        return self._send(instruction)

    def refund(self, instruction: Instruction) -> Outcome:
        """Give captured money back."""
        return self._send(instruction)

    def inquire(self, instruction: Instruction) -> Outcome:
        """What Stripe has of an operation; a redirect nobody followed in time is cancelled."""
        if not self.is_configured:
            return Outcome(OutcomeKind.UNKNOWN, reason="processor_not_configured")
        from payments.adapters.stripe_calls import ask

        return ask(instruction)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> UUID | None:
        """The operation that made the object of a webhook event. Raises: CallbackNotAuthentic."""
        if not self.is_configured:
            raise CallbackNotAuthentic
        from payments.adapters.stripe_library import require_signature

        signature = headers.get("stripe-signature", "")
        require_signature(body, signature, settings.STRIPE_WEBHOOK_SECRET)
        try:
            return UUID(json.loads(body)["data"]["object"]["metadata"][OPERATION])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _send(self, instruction: Instruction) -> Outcome:
        if not self.is_configured:
            return Outcome(OutcomeKind.NOT_SENT, reason="processor_not_configured")
        from payments.adapters.stripe_calls import send

        return send(instruction)
