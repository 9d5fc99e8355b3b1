"""Changing keys: all tokens under the new one, whatever happens beside or between."""

import base64
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from payments.models import Token
from payments.tests.cards import MASTERCARD, card
from payments.tests.conftest import NOW
from payments.use_cases.delete_token import delete_token
from payments.use_cases.look_up_token import look_up_token
from payments.use_cases.reencrypt_tokens import Reencrypted, reencrypt_tokens
from payments.use_cases.store_token import store_token
from shared import crypto, db
from shared.identifiers import new_id
from shared.testing.races import race

pytestmark = pytest.mark.django_db

UseRing = Callable[[str], None]
ACME = new_id()
ONE, TWO, THREE = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
OLD, BOTH, NEW = f"old:{ONE}", f"new:{TWO},old:{ONE}", f"new:{TWO}"
WALLET = {"provider": "paywave", "walletId": "7"}


@pytest.fixture
def use_ring() -> Iterator[UseRing]:
    """Live with another ring, as after a restart."""

    def forget_keys() -> None:
        for cached in (crypto.ring, crypto._cipher, crypto._derive):
            cached.cache_clear()

    with override_settings():

        def use(text: str) -> None:
            settings.KEY_RING = text
            forget_keys()

        yield use
    forget_keys()


def store(number: str = MASTERCARD) -> Token:
    return store_token(merchant_id=ACME, card=card(number), now=NOW)


def everything(limit: int = 2) -> int:
    rewritten, after = 0, ""
    while (step := reencrypt_tokens(after=after, limit=limit)).last:
        rewritten, after = rewritten + step.rewritten, step.last
    return rewritten


def keys() -> set[tuple[str, str]]:
    return set(Token.objects.values_list("sealed_under", "fingerprinted_under"))


def opens(token: Token, method_type: str = "CARD") -> bool:
    found = look_up_token(merchant_id=ACME, method_type=method_type, token=token.pk)
    return found is not None


class TestReencryptTokens:
    def test_brings_all_under_the_new_key_and_they_open_without_the_old(
        self, use_ring: UseRing
    ) -> None:
        use_ring(OLD)
        cards = [store() for _ in range(5)]
        wallet = store_token(merchant_id=ACME, wallet=WALLET, now=NOW)
        use_ring(BOTH)
        assert everything() == 6
        assert keys() == {("new", "old")}
        assert {crypto.key_id_of(bytes(t.sealed or b"")) for t in Token.objects.all()} == {"new"}

        use_ring(NEW)
        assert everything() == 6  # the fingerprints
        assert keys() == {("new", "new")}
        assert all(opens(token) for token in cards)
        assert opens(wallet, "WALLET")
        assert everything() == 0

    def test_naive_a_key_that_leaves_unasked_takes_its_tokens_along(
        self, use_ring: UseRing
    ) -> None:
        use_ring(OLD)
        lost = store()
        use_ring(f"third:{THREE}")
        assert reencrypt_tokens(limit=10) == Reencrypted(0, (lost.pk,), lost.pk, left=0)
        assert reencrypt_tokens(limit=10, after=lost.pk) == Reencrypted(0, (), "", left=1)
        use_ring(f"third:{THREE},{OLD}")
        assert reencrypt_tokens(limit=10).rewritten == 1

    def test_keeps_fingerprints_comparable_with_those_of_new_tokens(
        self, use_ring: UseRing
    ) -> None:
        use_ring(OLD)
        first = store()
        for ring in (BOTH, NEW):
            use_ring(ring)
            everything()
            first.refresh_from_db()
            assert bytes(store().fingerprint) == bytes(first.fingerprint)

    def test_naive_without_it_one_card_has_two_fingerprints(self, use_ring: UseRing) -> None:
        use_ring(BOTH)
        first = store()
        use_ring(NEW)
        assert bytes(store().fingerprint) != bytes(first.fingerprint)

    def test_goes_on_where_it_was_stopped(self, use_ring: UseRing) -> None:
        use_ring(OLD)
        for _ in range(5):
            store()
        use_ring(BOTH)
        assert reencrypt_tokens(limit=2).rewritten == 2
        assert everything() == 3

    def test_leaves_deleted_tokens_as_they_are(self, use_ring: UseRing) -> None:
        use_ring(OLD)
        token = store()
        delete_token(merchant_id=ACME, token=token.pk, now=NOW)
        use_ring(BOTH)
        assert everything() == 0
        assert keys() == {("old", "old")}

    def test_passes_by_a_row_that_traffic_has_locked(self, use_ring: UseRing) -> None:
        use_ring(OLD)
        busy, free = store(), store()
        use_ring(BOTH)
        with db.transaction():
            Token.objects.select_for_update().get(pk=busy.pk)
            assert race([everything]) == [1]
        assert Token.objects.get(pk=free.pk).sealed_under == "new"
        assert everything() == 1

    def test_beside_itself_and_deletions_neither_loses_nor_revives_anything(
        self, use_ring: UseRing
    ) -> None:
        use_ring(OLD)
        tokens = [store() for _ in range(40)]
        use_ring(BOTH)

        def delete_half() -> int:
            for token in tokens[::2]:
                delete_token(merchant_id=ACME, token=token.pk, now=NOW)
            return 0

        rewritten = sum(race([everything, everything, delete_half])) + everything()
        kept = [Token.objects.get(pk=token.pk) for token in tokens[1::2]]
        gone = [Token.objects.get(pk=token.pk) for token in tokens[::2]]
        assert all(opens(token) and token.sealed_under == "new" for token in kept)
        assert all(token.sealed is None for token in gone)
        assert 20 <= rewritten <= 40
