"""Merchants and their keys: rows that protect themselves."""

import base64
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower

from merchants import conf
from shared import clock, crypto
from shared.errors import Conflict
from shared.identifiers import new_id
from shared.postgres.naming import schema_table

_PURPOSE = "merchant api key"
_KEY_BYTES = 32
_SHOWN_CHARACTERS = 6


class LastActiveKey(Conflict):
    """This is the merchant's last active key; rotate with an overlap of 0 instead."""


class TooManyActiveKeys(Conflict):
    """There are as many active keys as there may be: revoke one, or rotate with an overlap of 0."""


class AlreadySuspended(Conflict):
    """This merchant is suspended already."""


class NotSuspended(Conflict):
    """This merchant is not suspended."""


class Merchant(models.Model):
    """Somebody who takes payments; every other row of the platform belongs to one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.TextField()
    email = models.TextField()
    minimum_signature_version = models.SmallIntegerField(
        default=1, db_default=1, help_text="2 refuses v1 signatures."
    )
    suspended_at = models.DateTimeField(
        null=True, blank=True, help_text="Reads only since; what was under way ends."
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

    def suspend(self, *, now: datetime) -> None:
        """Take no change from it any more. Raises: AlreadySuspended."""
        if self.is_suspended:
            raise AlreadySuspended
        self.suspended_at = now
        self.save(update_fields=["suspended_at"])

    def resume(self) -> None:
        """Take changes again. Raises: NotSuspended."""
        if not self.is_suspended:
            raise NotSuspended
        self.suspended_at = None
        self.save(update_fields=["suspended_at"])

    def change_email(self, email: str) -> str:
        """Write to another address from now on; IntegrityError as `register`. Returns the old."""
        previous, self.email = self.email, email
        self.save(update_fields=["email"])
        return previous

    # Queries

    def facts(self, now: datetime) -> dict[str, Any]:
        """What every event about it carries."""
        return {
            "correlation_id": str(self.pk),
            "subject_id": str(self.pk),
            "merchant_id": str(self.pk),
            "occurred_at": clock.iso(now),
            "merchant_name": self.name,
            "merchant_email": self.email,
        }

    # Properties

    @property
    def is_suspended(self) -> bool:
        """Whether only its reads are answered."""
        return self.suspended_at is not None


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Selections of keys."""

    def active(self, now: datetime) -> "ApiKeyQuerySet":
        """Keys that verify a signature at this instant."""
        return self.filter(revoked_at=None, purged_at=None, expires_at__gt=now)

    def revocable(self, now: datetime) -> "ApiKeyQuerySet":
        """Keys that open anything: active ones, and those that may still ask a rotation again."""
        opens = Q(expires_at__gt=now) | Q(replaced_at__gt=now - conf.REPEATABLE_FOR)
        return self.filter(opens, revoked_at=None, purged_at=None)

    def to_purge(self, now: datetime) -> "ApiKeyQuerySet":
        """Keys that never verify again but still hold their ciphertext."""
        is_over = Q(expires_at__lte=now) & (
            Q(replaced_at=None) | Q(replaced_at__lte=now - conf.REPEATABLE_FOR)
        )
        return self.filter(is_over | Q(revoked_at__isnull=False), purged_at=None)

    def to_warn_of(self, days: int, now: datetime) -> "ApiKeyQuerySet":
        """
        Active keys that end within so many days, which nobody was told yet.

        A key that a rotation replaced is meant to end, as long as another one outlasts it.
        """
        outlasting = ApiKey.objects.active(now).filter(
            merchant=OuterRef("merchant"), expires_at__gt=OuterRef("expires_at")
        )
        return self.active(now).filter(
            Q(warned_days=None) | Q(warned_days__gt=days),
            Q(replaced_at=None) | ~Exists(outlasting),
            expires_at__lte=now + timedelta(days=days),
        )


class ApiKey(models.Model):
    """
    A merchant's secret for signing requests, sealed at rest.

    The plain key exists in one response and in the memory of the process that verifies. After the
    purge the row stays, without its ciphertext, as evidence of who could sign what, and when.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, related_name="keys", db_index=False
    )
    prefix = models.TextField()
    sealed_key = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    replaces = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="The key that signed the rotation.",
    )
    rotation_fingerprint = models.BinaryField(null=True)
    replaced_at = models.DateTimeField(null=True, help_text="A rotation signed with it since.")
    warned_days = models.SmallIntegerField(
        null=True, help_text="The merchant was told so many days before its end."
    )

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
            models.CheckConstraint(
                condition=Q(replaces__isnull=True, rotation_fingerprint__isnull=True)
                | Q(replaces__isnull=False, rotation_fingerprint__isnull=False),
                name="api_key_rotation_is_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="api_key_to_purge",
                condition=Q(purged_at__isnull=True),
            ),
            # A range of it is exactly the active keys of a merchant: ended ones cost nothing.
            models.Index(
                fields=["merchant", "expires_at"],
                name="api_key_active",
                condition=Q(revoked_at__isnull=True, purged_at__isnull=True),
            ),
            models.Index(fields=["merchant", "created_at", "id"], name="api_key_by_merchant"),
        ]

    def __str__(self) -> str:
        """The visible beginning of the key."""
        return f"{self.prefix}…"

    # Factories

    @classmethod
    def issue(
        cls, *, merchant: Merchant, now: datetime, key_id: UUID | None = None
    ) -> tuple["ApiKey", str]:
        """Create a key of 32 random bytes; returns the row and the plain key, shown once."""
        key, plain = cls._sealed(merchant, now, key_id or new_id())
        key.save(force_insert=True)
        return key, plain

    @classmethod
    def issue_instead(
        cls, replaced: "ApiKey", *, rotation_fingerprint: bytes, now: datetime
    ) -> tuple["ApiKey", str]:
        """Create a key as `issue` does, in the place of another that asked for it."""
        key, plain = cls._sealed(replaced.merchant, now, new_id())
        key.replaces, key.rotation_fingerprint = replaced, rotation_fingerprint
        key.save(force_insert=True)
        return key, plain

    @classmethod
    def nobodys(cls) -> "ApiKey":
        """A random key of no merchant, in no table, that nobody knows."""
        key = cls(merchant_id=UUID(int=0))
        key._seal(secrets.token_urlsafe())
        return key

    @classmethod
    def _sealed(cls, merchant: Merchant, now: datetime, key_id: UUID) -> tuple["ApiKey", str]:
        encoded = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).rstrip(b"=").decode()
        plain = conf.key_prefix() + encoded
        key = cls(
            pk=key_id,
            merchant=merchant,
            prefix=plain[: len(conf.key_prefix()) + _SHOWN_CHARACTERS],
            created_at=now,
            expires_at=now + conf.KEY_LIFETIME,
        )
        key._seal(plain)
        return key, plain

    # Mutators

    def replace(self, *, overlap_seconds: int, now: datetime) -> None:
        """Stop verifying when the overlap ends, if not earlier: another key takes its place."""
        self.expires_at = min(self.expires_at, now + timedelta(seconds=overlap_seconds))
        self.replaced_at = now
        self.save(update_fields=["expires_at", "replaced_at"])

    def revoke(self, *, now: datetime, may_be_last: bool = False) -> None:
        """
        Stop verifying with this key at once.

        Raises:
            LastActiveKey: no other key of the merchant is active, and this must not be the last.

        """
        others = ApiKey.objects.active(now).filter(merchant_id=self.merchant_id)
        if not may_be_last and not others.exclude(pk=self.pk).exists():
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

    def note_warned(self, days: int) -> None:
        """Remember that its merchant was told how soon it ends."""
        self.warned_days = days
        self.save(update_fields=["warned_days"])

    # Queries

    def reveal(self) -> str:
        """The plain key, for verifying. Raises: crypto.DoesNotOpen if the row was tampered with."""
        return crypto.unseal(
            bytes(self.sealed_key or b""), purpose=_PURPOSE, bound_to=self._place
        ).decode()

    def is_active(self, now: datetime) -> bool:
        """Whether it verifies a signature at this instant."""
        return self.revoked_at is None and self.purged_at is None and self.expires_at > now

    def may_be_shown_again(self, now: datetime) -> bool:
        """
        Whether the rotation that made it may be answered again to whoever signs with the old key.

        Only as long as nobody has used it, and nobody revoked it or the one that it replaces.
        """
        return (
            self.replaces is not None
            and not self.replaces.was_revoked
            and self.last_used_at is None
            and self.is_active(now)
            and self.created_at > now - conf.REPEATABLE_FOR
        )

    # Properties

    @property
    def facts(self) -> dict[str, Any]:
        """What every event about it carries, beside what is said of its merchant."""
        return {"api_key_id": str(self.pk), "api_key_prefix": self.prefix}

    @property
    def was_revoked(self) -> bool:
        """Whether somebody ended it before its time."""
        return self.revoked_at is not None

    def _seal(self, plain: str) -> None:
        self.sealed_key = crypto.seal(plain.encode(), purpose=_PURPOSE, bound_to=self._place)

    @property
    def _place(self) -> str:
        return f"{self.merchant_id}|{self.pk}"
