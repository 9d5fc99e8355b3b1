"""The module's settings."""

CALL_LEASE_SECONDS = 30
"""How long a dispatcher may be busy with one processor call before another takes it over."""
MAX_SENDS = 5
"""How often a call that certainly did not arrive is sent again before the payment FAILS."""
INQUIRY_SECONDS = (1, 2, 5, 10, 30, 60, 300, 3600)
"""Pauses between inquiries about an unknown outcome; the last one repeats for ever."""
IMPLIED_WAIT_SECONDS = 10
"""What `POST /payments/authorize` waits for a decision without being asked."""
