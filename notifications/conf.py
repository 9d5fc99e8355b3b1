"""The module's settings."""

HOURLY_TRIES = 24
"""How often a message is tried again by the hour, once it failed quickly a few times."""
SEND_LEASE_SECONDS = 300
"""How long a worker may be busy with a batch of messages before another takes them over."""
