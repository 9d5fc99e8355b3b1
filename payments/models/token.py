"""Tokens: what stands for a card or a wallet, so that nobody else has to know it."""

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import Exact

from shared.errors import NotFound
from shared.postgres.naming import schema_table

PREFIX = "tok_"
_RANDOM_BYTES = 20
# Base 32 and not hexadecimal: one in two thousand hexadecimal names holds what passes for a card
# number and would be refused wherever a merchant sends it back to us.
_SHAPE = re.compile(PREFIX + "[a-z2-7]{32}", re.ASCII)


class TokenNotFound(NotFound):
    """There is no such token."""


class TokenType(StrEnum):
    """What a token stands for."""

    CARD = "CARD"
    WALLET = "WALLET"


class Brand(StrEnum):
    """Whose card it is, as its number tells."""

    VISA = "visa"
    MASTERCARD = "mastercard"
    AMEX = "amex"
    DINERS = "diners"
    DISCOVER = "discover"
    JCB = "jcb"
    UNIONPAY = "unionpay"
    RUPAY = "rupay"
    MAESTRO = "maestro"


@dataclass(frozen=True)
class Sealed:
    """What the vault made of a number: ciphertext and fingerprint, and the ids of their keys."""

    sealed: bytes
    sealed_under: str
    fingerprint: bytes
    fingerprinted_under: str


def new_token() -> str:
    """A name that nobody can guess, told by its shape from the tokens of processors."""
    return PREFIX + base64.b32encode(secrets.token_bytes(_RANDOM_BYTES)).decode().lower()


def is_ours(token: str) -> bool:
    """Whether a token has the shape of those that the vault issues."""
    return _SHAPE.fullmatch(token) is not None


class TokenQuerySet(models.QuerySet["Token"]):
    """Selections of tokens."""

    def present(self, *, merchant_id: UUID, token: str) -> "Token":
        """
        A token of the merchant that was not deleted.

        Raises: TokenNotFound, also for another merchant's and for what cannot be a token.
        """
        found = self.filter(pk=token, merchant_id=merchant_id, deleted_at=None)
        row = found.first() if is_ours(token) else None
        if row is None:
            raise TokenNotFound
        return row

    def stale(self, *, sealing: str, fingerprinting: str) -> "TokenQuerySet":
        """What is not sealed and fingerprinted under these keys of the ring."""
        is_current = Q(sealed_under=sealing, fingerprinted_under=fingerprinting)
        return self.filter(deleted_at=None).exclude(is_current)

    def locked_page(self, *, after: str, limit: int) -> list["Token"]:
        """The next of them by id, row-locked; those that others have locked are left out."""
        page = self.filter(pk__gt=after).order_by("pk")[:limit]
        return list(page.select_for_update(skip_locked=True))

    def write_seals(self, tokens: Sequence["Token"]) -> None:
        """Store what `Token.reseal` changed."""
        self.bulk_update(tokens, _SEAL)


_SEAL = ["sealed", "sealed_under", "fingerprint", "fingerprinted_under"]
_CARD_IS_DESCRIBED = Q(
    method_type=TokenType.CARD,
    brand__in=[brand.value for brand in Brand],
    last4__regex="^[0-9]{4}$",
    exp_month__isnull=False,  # a comparison with NULL is not false, and so would be kept
    exp_month__range=(1, 12),
    exp_year__isnull=False,
    exp_year__range=(2000, 2200),
    wallet_provider="",
)
_WALLET_IS_DESCRIBED = Q(
    method_type=TokenType.WALLET, brand="", last4="", exp_month=None, exp_year=None
) & ~Q(wallet_provider="")


class Token(models.Model):
    """
    What a merchant may keep instead of a card number.

    What stands here in the clear may be shown to the merchant. The rest is in `sealed`, which only
    `payments.vault` opens; a deleted token's row stays without it, as evidence.
    """

    id = models.TextField(primary_key=True, editable=False)
    merchant_id = models.UUIDField()
    method_type = models.TextField(choices=[(kind, kind.name) for kind in TokenType])
    sealed = models.BinaryField(null=True)
    sealed_under = models.TextField(help_text="The id of the key that sealed it.")
    fingerprint = models.BinaryField(
        help_text="The same for all tokens of the merchant's for one card or account."
    )
    fingerprinted_under = models.TextField(help_text="The id of the key of the fingerprint.")
    brand = models.TextField(default="", blank=True)
    last4 = models.TextField(default="", blank=True)
    exp_month = models.SmallIntegerField(null=True)
    exp_year = models.SmallIntegerField(null=True)
    wallet_provider = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    append_only: ClassVar[frozenset[str]] = frozenset({"DELETE"})
    objects: ClassVar[TokenQuerySet] = TokenQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("payments", "token")
        constraints = [
            models.CheckConstraint(
                condition=Q(id__regex="^tok_[a-z2-7]{32}$"), name="token_has_our_shape"
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True, sealed__isnull=False)
                | Q(deleted_at__isnull=False, sealed__isnull=True),
                name="token_ciphertext_until_deleted",
            ),
            models.CheckConstraint(
                condition=_CARD_IS_DESCRIBED | _WALLET_IS_DESCRIBED, name="token_fits_its_type"
            ),
            models.CheckConstraint(
                condition=Exact(
                    Func(
                        F("fingerprint"),
                        function="octet_length",
                        output_field=models.IntegerField(),
                    ),
                    32,
                ),
                name="token_fingerprint_is_whole",
            ),
        ]
        indexes = [models.Index(fields=["merchant_id", "fingerprint"], name="token_by_instrument")]

    def __str__(self) -> str:
        """The token, which says nothing about what it stands for."""
        return self.pk

    # Factories

    @classmethod
    def keep(cls, sealed: Sealed, *, token: str, now: datetime, **about: Any) -> "Token":
        """Store a new token; `about` are the columns that describe it in the clear."""
        return cls.objects.create(id=token, created_at=now, **vars(sealed), **about)

    # Mutators

    def reseal(self, sealed: Sealed) -> None:
        """Take another seal of the same content; stored by `objects.write_seals`."""
        for name, value in vars(sealed).items():
            setattr(self, name, value)

    def wipe(self, *, now: datetime) -> None:
        """Forget for ever what it stands for."""
        self.sealed, self.deleted_at = None, now
        self.save(update_fields=["sealed", "deleted_at"])
