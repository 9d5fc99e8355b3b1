"""Decisions about messages, in plain Python."""
