"""
The secrets that everybody knows, because they stand in this repository.

They are convenient where nothing is at stake. In production whoever finds one in the environment
has copied an example and must not go on.
"""

import base64
from urllib.parse import unquote, urlsplit

SECRET_KEY = "sandbox-only-" + "k" * 50
KEY_RING = "sandbox:c2FuZGJveC1vbmx5LXNhbmRib3gtb25seS1zYW5kYm8="

_VALUES = frozenset(
    {
        SECRET_KEY,
        # .env.example and docker-compose.yml
        "secret",
        "postgres-for-development",
        "owner-for-development",
        "app-for-development",
        "rabbitmq-for-development",
        "sandbox-for-development",
        "metrics-for-development",
    }
)
_KEYS = frozenset({base64.b64decode(KEY_RING.partition(":")[2])})


def is_published(secret: str) -> bool:
    """Whether a secret, or the password in a URL, is one of ours for development."""
    return secret in _VALUES or _password_of(secret) in _VALUES


def is_published_key(key: bytes) -> bool:
    """Whether a key of a ring is the sandbox's own."""
    return key in _KEYS


def _password_of(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""
