"""
Sealing and fingerprinting: AES-256-GCM under a ring of keys, HMAC-SHA256 in constant time.

Every purpose ("merchant keys", "idempotent responses", …) derives its own key from the ring with
HKDF, so that a ciphertext of one purpose never opens as another. What is sealed is bound to its
place by the associated data: a row copied to another owner does not open.
"""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_NONCE_BYTES = 12
_KEY_BYTES = 32
_MAX_NAME = 32


class DoesNotOpen(Exception):
    """The sealed bytes were changed, belong elsewhere, or their key left the ring."""


@dataclass(frozen=True)
class KeyRing:
    """Named 256-bit keys; the first seals, all of them open."""

    keys: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read `id:base64(32 bytes)[,id:base64…]`. Raises: ImproperlyConfigured."""
        keys = tuple(_parse_key(entry.strip()) for entry in text.split(","))
        if len({name for name, _ in keys}) != len(keys):
            raise ImproperlyConfigured("PAYFLOW_KEY_RING names one key twice.")
        return cls(keys)

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self.keys[0][0]


def _parse_key(entry: str) -> tuple[str, bytes]:
    name, _, encoded = entry.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not _is_name(name) or len(key) != _KEY_BYTES:
        raise ImproperlyConfigured(
            "PAYFLOW_KEY_RING must be id:base64 of 32 bytes, several separated by commas; an id is"
            f" 1 to {_MAX_NAME} ASCII letters and digits."
        )
    return name, key


def _is_name(name: str) -> bool:
    # ASCII, because it is read back from what it sealed.
    return name.isascii() and name.isalnum() and len(name) <= _MAX_NAME


@lru_cache
def ring() -> KeyRing:
    """The configured key ring."""
    return KeyRing.parse(settings.KEY_RING)


def seal(plaintext: bytes, *, purpose: str, bound_to: str) -> bytes:
    """Encrypt under the current key: `key id | nonce | ciphertext`, bound to its place."""
    key_id, nonce = ring().current, os.urandom(_NONCE_BYTES)
    sealed = _cipher(key_id, purpose).encrypt(nonce, plaintext, _context(key_id, bound_to))
    return key_id.encode() + b"|" + nonce + sealed


def unseal(sealed: bytes, *, purpose: str, bound_to: str) -> bytes:
    """
    Decrypt what `seal` made for the same purpose and place, under any key of the ring.

    Raises:
        DoesNotOpen: changed by a bit, moved to another place, or its key left the ring.

    """
    key_id, _, rest = bytes(sealed).partition(b"|")
    name = key_id.decode("ascii", "replace")
    try:
        cipher = _cipher(name, purpose)
        return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _context(name, bound_to))
    except (InvalidTag, KeyError, ValueError) as error:
        raise DoesNotOpen(f"sealed under key {name!r}, purpose {purpose!r}") from error


def key_id_of(sealed: bytes) -> str:
    """The id of the ring key that sealed these bytes."""
    return bytes(sealed).partition(b"|")[0].decode("ascii", "replace")


def fingerprint(message: bytes, *, purpose: str) -> bytes:
    """
    A keyed hash for comparing without storing: 32 bytes, the same for the same message.

    Keyed by the last key of the ring, the oldest, so that adding a key keeps fingerprints stable.
    """
    key_id = ring().keys[-1][0]
    return hmac.digest(_derive(key_id, "fingerprint " + purpose), message, "sha256")


def sign(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 of a message, 32 bytes."""
    return hmac.digest(key, message, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time, on bytes: a `str` with non-ASCII would raise."""
    return hmac.compare_digest(left, right)


def sha256_hex(message: bytes) -> str:
    """SHA-256 as lower-case hex."""
    return hashlib.sha256(message).hexdigest()


def _context(key_id: str, bound_to: str) -> bytes:
    return f"{key_id}|{bound_to}".encode()


@lru_cache(maxsize=64)
def _cipher(key_id: str, purpose: str) -> AESGCM:
    return AESGCM(_derive(key_id, purpose))


@lru_cache(maxsize=64)
def _derive(key_id: str, purpose: str) -> bytes:
    key = dict(ring().keys)[key_id]
    return HKDF(SHA256(), length=32, salt=None, info=f"payflow {purpose}".encode()).derive(key)
