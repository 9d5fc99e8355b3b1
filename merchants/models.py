"""Merchants and their keys: rows that protect themselves."""

import base64
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Least, Lower

from merchants import conf
from shared import crypto
from shared.errors import Conflict
from shared.identifiers import new_id
from shared.postgres.naming import schema_table

_PURPOSE = "merchant api key"
_KEY_BYTES = 32
_SHOWN_CHARACTERS = 6


class LastActiveKey(Conflict):
    """This is the merchant's last active key; rotate with an overlap of 0 instead."""


class Merchant(models.Model):
    """Somebody who takes payments; every other row of the platform belongs to one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.TextField()
    email = models.TextField()
    minimum_signature_version = models.SmallIntegerField(
        default=1, db_default=1, help_text="2 refuses v1 signatures."
    )
    created_at = models.DateTimeField()

    class Meta:
        db_table = schema_table("merchants", "merchant")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="merchant_email_is_unique"),
            models.CheckConstraint(
                condition=Q(minimum_signature_version__in=[1, 2]),
                name="merchant_signature_version_is_known",
            ),
        ]
        indexes = [models.Index(fields=["created_at", "id"], name="merchant_by_age")]

    def __str__(self) -> str:
        """Name and e-mail."""
        return f"{self.name} <{self.email}>"

    # Factories

    @classmethod
    def register(cls, *, name: str, email: str, now: datetime) -> "Merchant":
        """Create a merchant; IntegrityError `merchant_email_is_unique` on a known e-mail."""
        return cls.objects.create(name=name, email=email, created_at=now)

    # Mutators

    def pin_signature_version(self, version: int) -> None:
        """Refuse signatures below this version from now on."""
        self.minimum_signature_version = version
        self.save(update_fields=["minimum_signature_version"])


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Selections of keys."""

    def active(self, now: datetime) -> "ApiKeyQuerySet":
        """Keys that verify a signature at this instant."""
        return self.filter(revoked_at=None, purged_at=None, expires_at__gt=now)

    def to_purge(self, now: datetime) -> "ApiKeyQuerySet":
        """Keys that never verify again but still hold their ciphertext."""
        return self.filter(purged_at=None).filter(
            Q(expires_at__lte=now) | Q(revoked_at__isnull=False)
        )


class ApiKey(models.Model):
    """
    A merchant's secret for signing requests, sealed at rest.

    The plain key exists in one response and in the memory of the process that verifies. After the
    purge the row stays, without its ciphertext, as evidence of who could sign what, and when.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="keys")
    prefix = models.TextField()
    sealed_key = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = schema_table("merchants", "api_key")
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(purged_at__isnull=True, sealed_key__isnull=False)
                | Q(purged_at__isnull=False, sealed_key__isnull=True),
                name="api_key_ciphertext_until_purged",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="api_key_to_purge",
                condition=Q(purged_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        """The visible beginning of the key."""
        return f"{self.prefix}…"

    # Factories

    @classmethod
    def issue(cls, *, merchant: Merchant, now: datetime) -> tuple["ApiKey", str]:
        """Create a key of 32 random bytes; returns the row and the plain key, shown once."""
        encoded = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).rstrip(b"=").decode()
        plain = conf.key_prefix() + encoded
        key = cls(
            merchant=merchant,
            prefix=plain[: len(conf.key_prefix()) + _SHOWN_CHARACTERS],
            created_at=now,
            expires_at=now + conf.KEY_LIFETIME,
        )
        key.sealed_key = crypto.seal(
            plain.encode(), purpose=_PURPOSE, bound_to=_place(merchant.pk, key.pk)
        )
        key.save(force_insert=True)
        return key, plain

    # Mutators

    @classmethod
    def end_overlap(cls, *, merchant: Merchant, at: datetime, now: datetime) -> None:
        """Let the merchant's active keys expire at this instant, if they do not earlier."""
        cls.objects.active(now).filter(merchant=merchant).update(
            expires_at=Least(F("expires_at"), at)
        )

    def revoke(self, *, now: datetime) -> None:
        """
        Stop verifying with this key at once.

        Raises:
            LastActiveKey: no other key of the merchant is active.

        """
        others = ApiKey.objects.active(now).filter(merchant_id=self.merchant_id)
        if not others.exclude(pk=self.pk).exists():
            raise LastActiveKey
        self.revoked_at = now
        self.save(update_fields=["revoked_at"])

    def purge(self, *, now: datetime) -> None:
        """Wipe the ciphertext of a key that never verifies again."""
        self.sealed_key, self.purged_at = None, now
        self.save(update_fields=["sealed_key", "purged_at"])

    def touch(self, *, now: datetime) -> None:
        """Note the use, once a minute at most: one hot row per merchant, kept cool."""
        if self.last_used_at is None or now - self.last_used_at >= conf.LAST_USED_PRECISION:
            ApiKey.objects.filter(pk=self.pk).update(last_used_at=now)

    # Queries

    def reveal(self) -> str:
        """The plain key, for verifying. Raises: crypto.DoesNotOpen if the row was tampered with."""
        return crypto.unseal(
            bytes(self.sealed_key or b""),
            purpose=_PURPOSE,
            bound_to=_place(self.merchant_id, self.pk),
        ).decode()

    def is_active(self, now: datetime) -> bool:
        """Whether it verifies a signature at this instant."""
        return self.revoked_at is None and self.purged_at is None and self.expires_at > now

    # Properties

    @property
    def was_revoked(self) -> bool:
        """Whether somebody ended it before its time."""
        return self.revoked_at is not None


def overlap_end(*, now: datetime, overlap_seconds: int) -> datetime:
    """When the keys before a rotation stop verifying."""
    return now + timedelta(seconds=overlap_seconds)


def _place(merchant_id: UUID, key_id: UUID) -> str:
    return f"{merchant_id}|{key_id}"
