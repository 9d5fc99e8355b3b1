"""The module's settings."""

from datetime import timedelta

from django.conf import settings

KEY_LIFETIME = timedelta(days=90)
DEFAULT_OVERLAP_SECONDS = 24 * 3600
MAX_OVERLAP_SECONDS = 30 * 24 * 3600
MAX_ACTIVE_KEYS = 5
"""What one request may have to be verified with, so also what an unsigned one can cost."""
REPEATABLE_FOR = timedelta(hours=24)
"""How long a rotation may be asked again with the key that it replaced."""
LAST_USED_PRECISION = timedelta(minutes=1)
WARNING_DAYS = (3, 14)
"""How many days before its end a merchant is told of a key."""
MAX_EMAIL_LENGTH = 254
PURGE_BATCH_SIZE = 500
WARNING_BATCH_SIZE = 500


def key_prefix() -> str:
    """What keys begin with, so that secret scanners recognise a leak and live is never test."""
    return "pk_live_" if settings.IS_PRODUCTION else "pk_test_"


def is_sandbox() -> bool:
    """Whether no real money can move, so that the sandbox's helpers may answer."""
    return not settings.IS_PRODUCTION


def registrations_per_hour() -> int:
    """How many merchants one address may register in an hour."""
    return int(settings.REGISTRATIONS_PER_HOUR)
