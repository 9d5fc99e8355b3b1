"""The module's settings."""

from django.conf import settings

CALL_LEASE_SECONDS = 30
"""How long a dispatcher may be busy with one processor call before another takes it over."""
MAX_SENDS = 5
"""How often a call that certainly did not arrive is sent again before it FAILS."""
HELD_BACK_SECONDS = 600
"""How old a call may be that still waits for an open circuit to close; an older one FAILS."""
HELD_BACK_PAUSE_SECONDS = 5
INQUIRY_SECONDS = (1, 2, 5, 10, 30, 60, 300, 3600)
"""Pauses between inquiries about an unknown outcome; the last one repeats for ever."""
LATE_LOOK_SECONDS = (60, 600, 3600)
"""When a call that was in doubt and then given up is asked about again: it may arrive late."""
TURN_SECONDS = 0.5
"""Pause of a final capture that waits for the captures before it."""
IMPLIED_WAIT_SECONDS = 10
"""What `POST /payments/authorize`, captures, voids and refunds wait without being asked."""
HOLD_DAYS = 7
"""How long an authorisation is held, unless the merchant asked for less."""
EXPIRE_EVERY_SECONDS: int = settings.EXPIRE_EVERY_SECONDS
"""How often holds whose time is over are looked for; a divisor of a day."""
EXPIRE_AT_ONCE = 500
"""How many holds one sweep lets expire in a transaction."""
BREAKER_FAILURES = 10
"""Calls without an answer, one after the other, that open a processor's circuit breaker."""
BREAKER_PAUSE_SECONDS = 30
"""How long nothing is sent through an open circuit before one call may try."""
