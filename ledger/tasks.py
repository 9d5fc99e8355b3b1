"""What the clock asks of the module."""

from datetime import datetime

from ledger.use_cases.verify_ledger import verify_ledger
from shared.event_bus import daily, scheduled


@scheduled("ledger.verify", daily(at_hour=3))
def verify_every_night(*, now: datetime) -> None:
    """Verify the books at 03:00 UTC."""
    verify_ledger()
