"""Showing a token."""

from uuid import UUID

from payments.models import Token


def show_token(*, merchant_id: UUID, token: str) -> Token:
    """
    A token of the merchant's, with what may be known of what it stands for.

    Raises:
        TokenNotFound: the merchant has no such token, or deleted it.

    """
    return Token.objects.present(merchant_id=merchant_id, token=token)
