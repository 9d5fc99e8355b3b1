"""The outside world: mail servers."""
