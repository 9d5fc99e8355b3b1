"""Accounts: what the ledger keeps balances of."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import connection, models
from django.db.models import Q

from ledger.domain.posting_rules import PLATFORM, AccountKey, AccountKind, Party
from shared.errors import Rejected
from shared.identifiers import new_id
from shared.postgres.batches import insert_all
from shared.postgres.naming import schema_table


class AccountOwnerUnknown(Rejected):
    """
    Nothing was ever posted for the owner of this account.

    Merchants are known by their ids, processors by their names, once something was posted for
    them; the other accounts belong to `platform`.
    """


class AccountQuerySet(models.QuerySet["Account"]):
    """Opening, locking and moving accounts."""

    def opened(self, keys: Iterable[AccountKey], now: datetime) -> dict[AccountKey, "Account"]:
        """The accounts of these keys, opened if need be, locked in ascending order of their ids."""
        wanted = set(keys)
        found = self._locked(wanted)
        if missing := wanted - found.keys():
            insert_all([Account.of(key, now=now) for key in sorted(missing)], ignore_conflicts=True)
            found = self._locked(wanted)
        return found

    def _locked(self, keys: Collection[AccountKey]) -> dict[AccountKey, "Account"]:
        if not keys:
            return {}
        kinds, owners, currencies = zip(*((k.kind, k.owner, k.currency) for k in keys), strict=True)
        rows = self.raw(_LOCK, [list(kinds), list(owners), list(currencies)])
        return {account.key: account for account in rows}

    def move(self, changes_minor: dict[UUID, int]) -> None:
        """Add to balances, one row each, whatever the number of postings behind a change."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ledger.account SET balance_minor = account.balance_minor + change.minor"
                " FROM unnest(%s::uuid[], %s::bigint[]) AS change (id, minor)"
                " WHERE account.id = change.id",
                [list(changes_minor), list(changes_minor.values())],
            )

    def expect_owner(self, key: AccountKey) -> None:
        """Raises: AccountOwnerUnknown."""
        party = key.kind.party
        if party is Party.PLATFORM:
            is_known = key.owner == PLATFORM
        else:
            kinds = [kind.value for kind in AccountKind if kind.party is party]
            is_known = self.filter(owner=key.owner, kind__in=kinds).exists()
        if not is_known:
            raise AccountOwnerUnknown


# One text for any number of keys, which a chain of ORs is not.
_LOCK = """
SELECT account.* FROM ledger.account
JOIN unnest(%s::text[], %s::text[], %s::text[]) AS wanted (kind, owner, currency)
  ON (account.kind, account.owner, account.currency) = (wanted.kind, wanted.owner, wanted.currency)
ORDER BY account.id FOR UPDATE OF account
"""


class Account(models.Model):
    """
    Where amounts of one currency are counted; `balance_minor` is debits minus credits.

    Opened by its first posting. The balance is a snapshot, locked and moved with every batch of
    postings; `verify_ledger` compares it with their sum.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.TextField(choices=[(kind, kind.name) for kind in AccountKind])
    owner = models.TextField(help_text="A merchant's id, a processor's name, or platform.")
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()

    objects: ClassVar[AccountQuerySet] = AccountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = schema_table("ledger", "account")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "owner", "currency"], name="account_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in AccountKind]),
                name="account_kind_is_known",
            ),
        ]
        indexes = [models.Index(fields=["owner"], name="account_by_owner")]

    def __str__(self) -> str:
        """Its key."""
        return str(self.key)

    # Factories

    @classmethod
    def of(cls, key: AccountKey, *, now: datetime) -> "Account":
        """A new account; not saved."""
        return cls(kind=key.kind, owner=key.owner, currency=key.currency, created_at=now)

    # Properties

    @property
    def key(self) -> AccountKey:
        """What it means."""
        return AccountKey(AccountKind(self.kind), self.owner, self.currency)
