"""Adjustments: corrections of the books that take two people."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from ledger.domain.posting_rules import AccountKey, AccountKind, Correction, Draft, EntryType
from shared.errors import Rejected
from shared.identifiers import new_id
from shared.models import Proposal
from shared.money import MAX_AMOUNT_MINOR, Money
from shared.postgres.naming import schema_table

_KINDS = [(kind, kind.name) for kind in AccountKind]
_OWNER = "A merchant's id, a processor's name, or platform."


class AdjustmentMovesNothing(Rejected):
    """An adjustment moves an amount from one account to another one of the same currency."""


class Adjustment(Proposal):
    """
    A proposal to debit one account and credit another, outside what events are booked as.

    What is proposed never changes; the database sees to that, too. Confirmed by a second person,
    it is an entry of the journal. Its story is the one it names, else one of its own.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    debit_kind = models.TextField(choices=_KINDS)
    debit_owner = models.TextField(help_text=_OWNER)
    credit_kind = models.TextField(choices=_KINDS)
    credit_owner = models.TextField(help_text=_OWNER)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    correlation_id = models.UUIDField(null=True, blank=True, help_text="The story it belongs to.")

    append_only: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    class Meta(Proposal.Meta):
        db_table = schema_table("ledger", "adjustment")
        constraints = [
            *Proposal.Meta.constraints,
            models.CheckConstraint(
                condition=Q(debit_kind__in=[kind.value for kind in AccountKind])
                & Q(credit_kind__in=[kind.value for kind in AccountKind]),
                name="adjustment_account_kinds_are_known",
            ),
            models.CheckConstraint(
                condition=~Q(debit_kind=F("credit_kind"), debit_owner=F("credit_owner")),
                name="adjustment_between_two_accounts",
                violation_error_message=AdjustmentMovesNothing.__doc__,
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=1, amount_minor__lte=MAX_AMOUNT_MINOR),
                name="adjustment_amount_within_limits",
            ),
        ]

    def __str__(self) -> str:
        """What it moves, and where that stands."""
        amount, correction = Money(self.amount_minor, self.currency), self.correction
        return f"{amount}: debit {correction.debit}, credit {correction.credit}, {self.state}"

    # Factories

    @classmethod
    def propose(
        cls, correction: Correction, *, by: str, reason: str, now: datetime
    ) -> "Adjustment":
        """A new proposal, saved. Raises: AdjustmentMovesNothing."""
        debit, credit = correction.debit, correction.credit
        if debit == credit or debit.currency != credit.currency:
            raise AdjustmentMovesNothing
        return cls.objects.create(
            debit_kind=debit.kind,
            debit_owner=debit.owner,
            credit_kind=credit.kind,
            credit_owner=credit.owner,
            amount_minor=correction.amount_minor,
            currency=debit.currency,
            correlation_id=correction.correlation_id,
            proposed_by=by,
            proposed_at=now,
            reason=reason.strip(),
        )

    # Mutators

    def keep_decision(self) -> None:
        """Save what `confirm` or `reject` decided."""
        self.save(update_fields=["state", "decided_by", "decided_at"])

    # Properties

    @property
    def correction(self) -> Correction:
        """What it moves."""
        return Correction(
            AccountKey(AccountKind(self.debit_kind), self.debit_owner, self.currency),
            AccountKey(AccountKind(self.credit_kind), self.credit_owner, self.currency),
            self.amount_minor,
            self.correlation_id,
        )

    @property
    def draft(self) -> Draft:
        """The entry it is booked as; the adjustment stands for the event."""
        return Draft(
            event_id=self.pk,
            entry_type=EntryType.ADJUSTMENT,
            correlation_id=self.correlation_id or self.pk,
            merchant_id=self.correction.merchant_id,
            amount_minor=self.amount_minor,
            currency=self.currency,
            lines=self.correction.lines,
        )
