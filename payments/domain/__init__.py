"""Decisions about payments, in plain Python."""
