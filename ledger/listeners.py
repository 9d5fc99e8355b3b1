"""What the module reacts to."""

from collections.abc import Sequence

from ledger.use_cases.post_authorisations import post_authorisations
from shared import clock
from shared.event_bus import listener
from shared.events.payments import PaymentTransactionAuthorised


@listener("ledger.post_authorisation")
def on_payment_authorised(events: Sequence[PaymentTransactionAuthorised]) -> None:
    """Post the hold."""
    post_authorisations(authorised=events, now=clock.now())
