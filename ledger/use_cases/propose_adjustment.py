"""Proposing a correction of the books."""

from datetime import datetime

from ledger.domain.posting_rules import Correction
from ledger.models import Account, Adjustment
from shared import db
from shared.event_bus.operating import tell


def propose_adjustment(
    *, correction: Correction, actor: str, reason: str, now: datetime
) -> Adjustment:
    """
    Propose to debit one account and credit another; nothing is posted until somebody confirms.

    Publishes Operator.Action.Taken.

    Raises:
        AdjustmentMovesNothing: the two are one account, or of two currencies.
        AccountOwnerUnknown: nothing was ever posted for the owner of one of them.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        Account.objects.expect_owner(correction.debit)
        Account.objects.expect_owner(correction.credit)
        adjustment = Adjustment.propose(correction, by=actor, reason=reason, now=now)
        tell(
            actor=actor,
            action="ledger.adjustment.propose",
            subject=str(adjustment),
            reason=reason,
            now=now,
        )
    return adjustment
