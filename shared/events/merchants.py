"""What `merchants` publishes."""

from dataclasses import dataclass
from typing import ClassVar

from shared.events.base import DomainEvent


@dataclass(frozen=True, kw_only=True)
class MerchantEvent(DomainEvent):
    """What every event about one merchant carries; `subject_id` is the merchant's id."""

    merchant_name: str
    merchant_email: str


@dataclass(frozen=True, kw_only=True)
class MerchantAccountRegistered(MerchantEvent):
    """Published when a merchant registered and its first key was issued."""

    event_type: ClassVar[str] = "Merchant.Account.Registered"


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyRotated(MerchantEvent):
    """
    Published when a new key was issued beside the old ones.

    The previous keys go on verifying until `previous_key_expires_at`.
    """

    event_type: ClassVar[str] = "Merchant.ApiKey.Rotated"

    api_key_id: str
    api_key_prefix: str
    api_key_expires_at: str
    previous_key_expires_at: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyRevoked(MerchantEvent):
    """Published when a key was revoked: no request signed with it is accepted any more."""

    event_type: ClassVar[str] = "Merchant.ApiKey.Revoked"

    api_key_id: str
    api_key_prefix: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyExpired(MerchantEvent):
    """Published when the nightly purge wiped the ciphertext of a key that had expired."""

    event_type: ClassVar[str] = "Merchant.ApiKey.Expired"

    api_key_id: str
    api_key_prefix: str
