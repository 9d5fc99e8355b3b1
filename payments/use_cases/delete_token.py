"""Deleting a token."""

from datetime import datetime
from uuid import UUID

from payments.models import Token
from shared import db


def delete_token(*, merchant_id: UUID, token: str, now: datetime) -> None:
    """
    Wipe what a token stands for, for ever; its row stays as evidence.

    A payment that was accepted and not yet sent to a processor is declined with `token_deleted`.

    Raises:
        TokenNotFound: the merchant has no such token, or deleted it before.

    """
    with db.transaction():
        locked = Token.objects.select_for_update()
        locked.present(merchant_id=merchant_id, token=token).wipe(now=now)
