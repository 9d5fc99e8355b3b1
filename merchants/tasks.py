"""What the clock asks of the module."""

from datetime import datetime

from merchants.use_cases.purge_api_keys import purge_api_keys
from shared.event_bus import daily, scheduled


@scheduled("merchants.purge_api_keys", daily(at_hour=2))
def purge_keys_every_night(*, now: datetime) -> None:
    """Wipe expired and revoked keys at 02:00 UTC."""
    purge_api_keys(now=now)
