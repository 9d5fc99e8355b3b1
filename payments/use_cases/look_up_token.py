"""Looking up what a payment shall be paid with."""

from uuid import UUID

from payments import vault
from payments.vault import TokenDetails


def look_up_token(*, merchant_id: UUID, method_type: str, token: str) -> TokenDetails | None:
    """
    What stands behind a token of the merchant's, for a payment of this type (CARD, WALLET).

    None for a token of a processor's own, which is passed through as it is.

    Raises:
        UnknownToken: it is not the merchant's, was deleted or is of another type; or, in
            production, it is none that a real processor issued.

    """
    return vault.details_of(merchant_id=merchant_id, method_type=method_type, token=token)
