"""What the module reacts to."""

from collections.abc import Sequence

from ledger.domain.posting_rules import MovementOfMoney
from ledger.use_cases.post_movements import post_movements
from shared import clock
from shared.event_bus import listener


# One for all of them: order is kept per listener, and a capture must not come before its hold.
@listener("ledger.post_movements")
def on_money_moved(events: Sequence[MovementOfMoney]) -> None:
    """Post holds, captures, releases and refunds."""
    post_movements(events=events, now=clock.now())
