"""The outside world, behind the ports of `payments.domain`."""
