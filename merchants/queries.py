"""Reads of merchants and keys."""

from datetime import datetime
from uuid import UUID

from merchants.models import ApiKey, Merchant
from shared.errors import NotFound


class MerchantNotFound(NotFound):
    """There is no such merchant."""


class ApiKeyNotFound(NotFound):
    """There is no such key."""


def get_merchant(merchant_id: UUID) -> Merchant:
    """The merchant. Raises: MerchantNotFound."""
    merchant = Merchant.objects.filter(pk=merchant_id).first()
    if merchant is None:
        raise MerchantNotFound
    return merchant


def lock_merchant(merchant_id: UUID) -> Merchant:
    """The merchant, locked until the transaction ends. Raises: MerchantNotFound."""
    merchant = Merchant.objects.select_for_update().filter(pk=merchant_id).first()
    if merchant is None:
        raise MerchantNotFound
    return merchant


def get_active_key(*, merchant_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    """An active key of the merchant. Raises: ApiKeyNotFound."""
    key = ApiKey.objects.active(now).filter(merchant_id=merchant_id, pk=key_id).first()
    if key is None:
        raise ApiKeyNotFound
    return key


def list_keys(merchant_id: UUID) -> list[ApiKey]:
    """All keys the merchant ever had, newest first."""
    return list(ApiKey.objects.filter(merchant_id=merchant_id).order_by("-created_at", "-id"))


def list_verifying_keys(merchant_id: UUID, now: datetime) -> list[ApiKey]:
    """The merchant's active keys with the merchant, in one statement."""
    keys = ApiKey.objects.active(now).filter(merchant_id=merchant_id)
    return list(keys.select_related("merchant"))
