"""
Identifiers: UUIDv7, so that primary keys are unique without a round trip and grow with time.

Their order is never used as the order of events: two made in one millisecond sort either way.
"""

import os
import re
import time
from uuid import UUID

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def is_canonical(text: str) -> bool:
    """
    Whether a text is a UUID in the canonical 36-character lower-case form.

    `uuid.UUID()` also takes braces, `urn:` and misplaced dashes: several spellings of one id are
    several signatures of one request, so only one spelling is accepted.
    """
    return _CANONICAL.fullmatch(text) is not None
