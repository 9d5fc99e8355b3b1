"""Removing what the rules are configured with."""

from datetime import datetime

from fraud.models import Setting
from shared import db
from shared.event_bus.operating import tell


def remove_setting(*, setting: Setting, actor: str, reason: str, now: datetime) -> None:
    """
    Take a rule, a limit or a blocked value away; payments from now on do not meet it.

    Publishes Operator.Action.Taken.

    Raises:
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        subject = setting.terms
        setting.remove()
        tell(
            actor=actor,
            action=f"{setting._meta.label_lower}.remove",
            subject=subject,
            reason=reason,
            now=now,
        )
