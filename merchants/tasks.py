"""What the clock asks of the module."""

from datetime import datetime

from merchants.use_cases.purge_api_keys import purge_api_keys
from merchants.use_cases.warn_of_ending_keys import warn_of_ending_keys
from shared.event_bus import daily, every, scheduled


@scheduled("merchants.purge_api_keys", daily(at_hour=2))
def purge_keys_every_night(*, now: datetime) -> None:
    """Wipe expired and revoked keys at 02:00 UTC."""
    purge_api_keys(now=now)


@scheduled("merchants.warn_of_ending_keys", every(seconds=3600))
def warn_of_keys_that_end(*, now: datetime) -> None:
    """Tell merchants 14 and 3 days before a key of theirs ends."""
    warn_of_ending_keys(now=now)
