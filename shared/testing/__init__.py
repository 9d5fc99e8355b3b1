"""Helpers that the modules' tests import; nothing here knows a module."""
