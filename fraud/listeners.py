"""What the module reacts to."""

from collections.abc import Sequence

from fraud.use_cases.assess_payments import assess_payments
from shared import clock
from shared.event_bus import listener
from shared.events.payments import PaymentTransactionInitiated


@listener("fraud.assess_payment")
def on_payment_initiated(events: Sequence[PaymentTransactionInitiated]) -> None:
    """Assess."""
    assess_payments(payments=events, now=clock.now())
