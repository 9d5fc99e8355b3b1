"""Reads of merchants and keys."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model, Q, QuerySet

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
    with connection.cursor() as cursor:
        cursor.execute(verifying_keys_text(), [merchant_id, now, conf.MAX_ACTIVE_KEYS])
        return [_verifying_key(row) for row in cursor.fetchall()]


@cache
def verifying_keys_text() -> str:
    """
    The statement of `list_verifying_keys`, whose keys are those of `ApiKeyQuerySet.active`.

    Every request begins with it; having Django build it anew costs three times what it takes.
    """
    keys, merchants = ApiKey._meta.db_table, Merchant._meta.db_table
    columns = (*_columns("key", ApiKey), *_columns("owner", Merchant), *_columns("old", ApiKey))
    return (
        f"SELECT {', '.join(columns)} FROM {keys} AS key"
        f" JOIN {merchants} AS owner ON owner.id = key.merchant_id"
        f" LEFT JOIN {keys} AS old ON old.id = key.replaces_id"
        " WHERE key.merchant_id = %s AND key.expires_at > %s"
        " AND key.revoked_at IS NULL AND key.purged_at IS NULL"
        " ORDER BY key.expires_at DESC LIMIT %s"
    )


def _columns(alias: str, model: type[Model]) -> list[str]:
    return [f"{alias}.{field.column}" for field in model._meta.concrete_fields]


def _verifying_key(row: Sequence[Any]) -> ApiKey:
    end_of_key, end_of_owner = len(_KEY_FIELDS), len(_KEY_FIELDS) + len(_MERCHANT_FIELDS)
    old = row[end_of_owner:]
    key = ApiKey.from_db("default", _KEY_FIELDS, row[:end_of_key])
    key.merchant = Merchant.from_db("default", _MERCHANT_FIELDS, row[end_of_key:end_of_owner])
    key.replaces = ApiKey.from_db("default", _KEY_FIELDS, old) if key.replaces_id else None
    return key


_KEY_FIELDS = [field.attname for field in ApiKey._meta.concrete_fields]
_MERCHANT_FIELDS = [field.attname for field in Merchant._meta.concrete_fields]


def list_merchants(*, text: str = "", only_suspended: bool = False) -> QuerySet[Merchant]:
    """Merchants whose name or address contains a text, newest first."""
    found = Merchant.objects.filter(Q(name__icontains=text) | Q(email__icontains=text))
    if only_suspended:
        found = found.filter(suspended_at__isnull=False)
    return found.order_by("-created_at", "-pk")
