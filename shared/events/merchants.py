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
class MerchantAccountSuspended(MerchantEvent):
    """
    Published when an operator suspended a merchant.

    Its reads are answered, its changes refused; what was under way ends as it would have. Why is
    told to the operators' trail, in `OperatorActionTaken`.
    """

    event_type: ClassVar[str] = "Merchant.Account.Suspended"


@dataclass(frozen=True, kw_only=True)
class MerchantAccountResumed(MerchantEvent):
    """Published when an operator let a suspended merchant make changes again."""

    event_type: ClassVar[str] = "Merchant.Account.Resumed"


@dataclass(frozen=True, kw_only=True)
class MerchantAccountContactChanged(MerchantEvent):
    """
    Published when an operator corrected a merchant's e-mail address.

    `merchant_email` is the new one. Events of payments that were initiated before still carry the
    old: whoever writes to merchants has to remember this one.
    """

    event_type: ClassVar[str] = "Merchant.Account.ContactChanged"

    previous_email: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyIssued(MerchantEvent):
    """Published when an operator issued a key for a merchant, beside those it has."""

    event_type: ClassVar[str] = "Merchant.ApiKey.Issued"

    api_key_id: str
    api_key_prefix: str
    api_key_expires_at: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyRotatedV1(MerchantEvent):
    """
    Published when a new key was issued in place of all others; version 2 is published since.

    The previous keys go on verifying until `previous_key_expires_at`.
    """

    event_type: ClassVar[str] = "Merchant.ApiKey.Rotated"

    api_key_id: str
    api_key_prefix: str
    api_key_expires_at: str
    previous_key_expires_at: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyRotated(MerchantEvent):
    """
    Published when a new key was issued in place of the one that signed the rotation.

    The previous key verifies until `previous_key_expires_at`; other keys are what they were.
    """

    event_type: ClassVar[str] = "Merchant.ApiKey.Rotated"
    version: ClassVar[int] = 2

    api_key_id: str
    api_key_prefix: str
    api_key_expires_at: str
    previous_key_id: str
    previous_key_prefix: str
    previous_key_expires_at: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyShownAgain(MerchantEvent):
    """
    Published when a rotation was asked again and its new key, which nobody had used, shown again.

    Whoever asked signed with `signed_with_prefix`, mostly the key that was replaced.
    """

    event_type: ClassVar[str] = "Merchant.ApiKey.ShownAgain"

    api_key_id: str
    api_key_prefix: str
    signed_with_id: str
    signed_with_prefix: str


@dataclass(frozen=True, kw_only=True)
class MerchantApiKeyExpiring(MerchantEvent):
    """
    Published when a key will end in `days_left` days or less, once for 14 and once for 3.

    Not for a key that a rotation replaced while another one outlasts it. Who was told of neither in
    time is told once.
    """

    event_type: ClassVar[str] = "Merchant.ApiKey.Expiring"

    api_key_id: str
    api_key_prefix: str
    api_key_expires_at: str
    days_left: int


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
