"""Reads of merchants and keys."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from merchants import conf
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


def get_revocable_key(*, merchant_id: UUID, key_id: UUID, now: datetime) -> ApiKey:
    """A key of the merchant that opens anything at all. Raises: ApiKeyNotFound."""
    key = ApiKey.objects.revocable(now).filter(merchant_id=merchant_id, pk=key_id).first()
    if key is None:
        raise ApiKeyNotFound
    return key


def get_key(key_id: UUID) -> ApiKey:
    """A key of whichever merchant, with its merchant. Raises: ApiKeyNotFound."""
    key = ApiKey.objects.select_related("merchant").filter(pk=key_id).first()
    if key is None:
        raise ApiKeyNotFound
    return key


def lock_rotated_key(*, merchant_id: UUID, key_id: UUID) -> ApiKey:
    """
    A key of the merchant with the one it replaces, locked: its first use waits. Raises as above.
    """
    keys = ApiKey.objects.select_for_update(of=("self",)).select_related("replaces")
    key = keys.filter(merchant_id=merchant_id, pk=key_id).first()
    if key is None:
        raise ApiKeyNotFound
    return key


def list_keys(merchant_id: UUID) -> QuerySet[ApiKey]:
    """All keys the merchant ever had."""
    return ApiKey.objects.filter(merchant_id=merchant_id)


def list_active_keys(merchant_id: UUID, now: datetime) -> list[ApiKey]:
    """The merchant's active keys."""
    return list(ApiKey.objects.active(now).filter(merchant_id=merchant_id))


def list_verifying_keys(merchant_id: UUID, now: datetime) -> list[ApiKey]:
    """
    The merchant's active keys, with the merchant and what they replace, in one statement.

    No more than there may be: what a request costs before it is known to be signed has a limit.
    """
    keys = ApiKey.objects.active(now).filter(merchant_id=merchant_id)
    related = keys.select_related("merchant", "replaces")
    return list(related.order_by("-expires_at")[: conf.MAX_ACTIVE_KEYS])


def list_merchants(*, text: str = "", only_suspended: bool = False) -> QuerySet[Merchant]:
    """Merchants whose name or address contains a text, newest first."""
    found = Merchant.objects.filter(Q(name__icontains=text) | Q(email__icontains=text))
    if only_suspended:
        found = found.filter(suspended_at__isnull=False)
    return found.order_by("-created_at", "-pk")
