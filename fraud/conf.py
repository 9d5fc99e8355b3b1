"""The module's settings."""

from datetime import timedelta

DECLINE_UP_TO_SCORE = 20
"""Scores from 0 to this are declined (100 = safest)."""
REVIEW_UP_TO_SCORE = 60
"""Scores above the decline limit and up to this wait for an operator."""
LONGEST_WINDOW = timedelta(days=1)
"""How far back velocity rules may look."""
