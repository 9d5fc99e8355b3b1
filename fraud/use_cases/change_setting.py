"""Changing what the rules are configured with."""

from datetime import datetime

from fraud.models import Setting
from shared import db
from shared.event_bus.operating import tell


def change_setting(*, setting: Setting, actor: str, reason: str, now: datetime) -> None:
    """
    Store a rule, a limit or a blocked value, new or changed; payments from now on meet it.

    Publishes Operator.Action.Taken, whose subject says what it was and what it is.

    Raises:
        ValidationError: it would not work, such as a velocity rule without a window.
        ReasonRequired: the reason is empty.

    """
    with db.transaction():
        before = type(setting)._default_manager.select_for_update().filter(pk=setting.pk).first()
        setting.store()
        tell(
            actor=actor,
            action=f"{setting._meta.label_lower}.{'change' if before else 'add'}",
            subject=f"{before.terms} → {setting.terms}" if before else setting.terms,
            reason=reason,
            now=now,
        )
