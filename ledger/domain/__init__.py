"""Decisions about bookkeeping, in plain Python."""
