"""What the module's endpoints take and give."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from merchants import conf
from merchants.models import ApiKey, Merchant
from merchants.use_cases.register_merchant import Registered
from merchants.use_cases.rotate_api_key import Rotated
from shared import clock
from shared.http.fields import IdempotencyKey, Line, StrictSerializer, WholeNumber


class Email(Line, serializers.EmailField):
    """An e-mail address; Django's own check takes control characters between quotes."""


class RegisterRequest(StrictSerializer):
    """Body of `POST /merchants/register`."""

    name = Line(max_length=200)
    email = Email(max_length=conf.MAX_EMAIL_LENGTH)


class RotateRequest(StrictSerializer):
    """Body of `POST /merchants/keys/rotate`."""

    idempotencyKey = IdempotencyKey(required=False)
    overlapSeconds = WholeNumber(
        required=False,
        default=conf.DEFAULT_OVERLAP_SECONDS,
        min_value=0,
        max_value=conf.MAX_OVERLAP_SECONDS,
    )


class KeyedRequest(StrictSerializer):
    """A body that carries nothing but its idempotency key."""

    idempotencyKey = IdempotencyKey(required=False)


class RegisteredResource(serializers.Serializer[Any]):
    """A new merchant with its key, shown once."""

    merchantId = serializers.UUIDField()
    name = serializers.CharField()
    email = serializers.EmailField()
    apiKey = serializers.CharField()
    apiKeyId = serializers.UUIDField()
    apiKeyExpiresAt = serializers.DateTimeField()


class RotatedResource(serializers.Serializer[Any]):
    """A new key, shown once."""

    apiKey = serializers.CharField()
    apiKeyId = serializers.UUIDField()
    apiKeyExpiresAt = serializers.DateTimeField()
    previousKeyExpiresAt = serializers.DateTimeField()


class MerchantResource(serializers.Serializer[Any]):
    """A merchant's profile."""

    merchantId = serializers.UUIDField()
    name = serializers.CharField()
    email = serializers.EmailField()
    minimumSignatureVersion = serializers.IntegerField()
    createdAt = serializers.DateTimeField()


class ApiKeyResource(serializers.Serializer[Any]):
    """A key without its secret."""

    apiKeyId = serializers.UUIDField()
    prefix = serializers.CharField()
    active = serializers.BooleanField()
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField()
    lastUsedAt = serializers.DateTimeField(allow_null=True)


class ApiKeyList(serializers.Serializer[Any]):
    """A page of a merchant's keys."""

    data = ApiKeyResource(many=True)  # type: ignore[assignment]
    nextCursor = serializers.CharField(allow_null=True)


class CheckResource(serializers.Serializer[Any]):
    """One answer of the signature check."""

    part = serializers.CharField()
    ok = serializers.BooleanField()
    message = serializers.CharField()


class SignatureCheckResource(serializers.Serializer[Any]):
    """What is right and wrong about a signature."""

    valid = serializers.BooleanField()
    checks = CheckResource(many=True)


def registered_resource(registered: Registered) -> dict[str, Any]:
    """The answer to a registration."""
    return {
        "merchantId": str(registered.merchant.pk),
        "name": registered.merchant.name,
        "email": registered.merchant.email,
        "apiKey": registered.plain_key,
        "apiKeyId": str(registered.key.pk),
        "apiKeyExpiresAt": clock.iso(registered.key.expires_at),
    }


def rotated_resource(rotated: Rotated) -> dict[str, Any]:
    """The answer to a rotation."""
    return {
        "apiKey": rotated.plain_key,
        "apiKeyId": str(rotated.key.pk),
        "apiKeyExpiresAt": clock.iso(rotated.key.expires_at),
        "previousKeyExpiresAt": clock.iso(rotated.previous.expires_at),
    }


def merchant_resource(merchant: Merchant) -> dict[str, Any]:
    """A merchant's profile."""
    return {
        "merchantId": str(merchant.pk),
        "name": merchant.name,
        "email": merchant.email,
        "minimumSignatureVersion": merchant.minimum_signature_version,
        "createdAt": clock.iso(merchant.created_at),
    }


def api_key_resource(key: ApiKey, now: datetime) -> dict[str, Any]:
    """A key without its secret."""
    return {
        "apiKeyId": str(key.pk),
        "prefix": key.prefix,
        "active": key.is_active(now),
        "createdAt": clock.iso(key.created_at),
        "expiresAt": clock.iso(key.expires_at),
        "lastUsedAt": clock.iso(key.last_used_at) if key.last_used_at else None,
    }
