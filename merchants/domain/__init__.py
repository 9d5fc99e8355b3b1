"""Decisions about signatures, in plain Python."""
