"""The module's settings."""

SEND_LEASE_SECONDS = 300
"""How long a worker may be busy with a batch of messages before another takes them over."""
