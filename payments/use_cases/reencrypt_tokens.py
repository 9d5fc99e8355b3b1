"""Bringing tokens under the current keys."""

from dataclasses import dataclass

from payments import vault
from payments.models import Token
from shared import db


@dataclass(frozen=True)
class Reencrypted:
    """What one step did: how many rows were rewritten, and which do not open."""

    rewritten: int
    lost: tuple[str, ...]
    last: str
    """Where the next step begins; empty when there was nothing to do after the given token."""
    left: int
    """How many rows are still under other keys; counted with an empty `last` only."""


def reencrypt_tokens(*, after: str = "", limit: int) -> Reencrypted:
    """
    Seal and fingerprint anew up to `limit` tokens that are under other keys than the current ones.

    One transaction, in the order of the tokens, from the one after `after` on. Rows that somebody
    has locked are left for another time, so that traffic goes on; what does not open stays as it
    is.
    """
    with db.transaction():
        stale = Token.objects.stale(**vault.current_keys())
        page = stale.locked_page(after=after, limit=limit)
        lost = vault.reseal(page)
        rewritten = [token for token in page if token not in lost]
        Token.objects.write_seals(rewritten)
    return Reencrypted(
        rewritten=len(rewritten),
        lost=tuple(token.pk for token in lost),
        last=page[-1].pk if page else "",
        left=0 if page else stale.count(),
    )
