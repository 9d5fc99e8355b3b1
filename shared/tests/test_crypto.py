"""Sealing: only the same key, purpose and place open it; fingerprints and comparisons."""

import base64
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from shared import crypto
from shared.crypto import DoesNotOpen, KeyRing, fingerprint, key_id_of, seal, unseal

SECRET = b"sk: a secret of some length"
ONE, TWO, THREE = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))

UseRing = Callable[[str], None]


def forget_keys() -> None:
    crypto.ring.cache_clear()
    crypto._cipher.cache_clear()
    crypto._derive.cache_clear()


@pytest.fixture
def use_ring() -> Iterator[UseRing]:
    with override_settings():

        def use(text: str) -> None:
            settings.KEY_RING = text
            forget_keys()

        yield use
    forget_keys()


def sealed(plaintext: bytes = SECRET) -> bytes:
    return seal(plaintext, purpose="test", bound_to="row 1")


def opened(sealed_bytes: bytes) -> bytes:
    return unseal(sealed_bytes, purpose="test", bound_to="row 1")


class TestSeal:
    @given(st.binary(max_size=2000))
    def test_opens_again(self, plaintext: bytes) -> None:
        assert opened(sealed(plaintext)) == plaintext

    def test_hides_the_plaintext_and_that_two_are_the_same(self) -> None:
        first, second = sealed(), sealed()
        assert SECRET not in first
        assert first != second

    def test_takes_what_the_database_returns(self) -> None:
        assert opened(memoryview(sealed())) == SECRET  # type: ignore[arg-type]

    def test_opens_at_its_place_only(self) -> None:
        with pytest.raises(DoesNotOpen):
            unseal(sealed(), purpose="test", bound_to="row 2")

    def test_opens_for_its_purpose_only(self) -> None:
        with pytest.raises(DoesNotOpen):
            unseal(sealed(), purpose="another", bound_to="row 1")

    def test_does_not_open_with_any_bit_flipped(self) -> None:
        original = sealed()
        for position in range(len(original) * 8):
            changed = bytearray(original)
            changed[position // 8] ^= 1 << position % 8
            with pytest.raises(DoesNotOpen):
                opened(bytes(changed))

    def test_does_not_open_cut_short_or_prolonged(self) -> None:
        original = sealed()
        for length in range(len(original)):
            with pytest.raises(DoesNotOpen):
                opened(original[:length])
        with pytest.raises(DoesNotOpen):
            opened(original + b"\0")

    @given(st.binary(max_size=200))
    def test_opens_nothing_that_was_not_sealed(self, noise: bytes) -> None:
        for candidate in (noise, b"sandbox|" + noise):
            with pytest.raises(DoesNotOpen):
                opened(candidate)


class TestKeyRing:
    def test_seals_with_the_first_and_opens_with_all(self, use_ring: UseRing) -> None:
        use_ring(f"old:{ONE}")
        before = sealed()
        use_ring(f"new:{TWO},old:{ONE}")
        assert opened(before) == SECRET
        assert (key_id_of(before), key_id_of(sealed())) == ("old", "new")

    def test_opens_nothing_of_a_key_that_left(self, use_ring: UseRing) -> None:
        use_ring(f"old:{ONE}")
        before = sealed()
        use_ring(f"new:{TWO}")
        with pytest.raises(DoesNotOpen, match="old"):
            opened(before)

    def test_opens_nothing_when_a_name_got_another_key(self, use_ring: UseRing) -> None:
        use_ring(f"a:{ONE},b:{TWO}")
        before = sealed()
        use_ring(f"a:{TWO},b:{ONE}")
        with pytest.raises(DoesNotOpen):
            opened(before)

    def test_binds_the_name_of_the_key(self, use_ring: UseRing) -> None:
        use_ring(f"a:{ONE},b:{ONE}")
        with pytest.raises(DoesNotOpen):
            opened(b"b" + sealed()[1:])

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a",
            "a:",
            f":{ONE}",
            f"a:{ONE},",
            f"a:{ONE},a:{TWO}",
            f"a|b:{ONE}",
            f"a b:{ONE}",
            f"schlüssel:{ONE}",
            f"{'a' * 33}:{ONE}",
            f"a:{ONE[:-4]}",
            f"a:{ONE}AAAA",
            f"a:{ONE[:-2]}",
            "a:" + "ü" * 44,
            "a:" + "\n".join([ONE[:20], ONE[20:]]),
        ],
    )
    def test_refuses_what_is_no_ring_without_showing_it(self, text: str) -> None:
        with pytest.raises(ImproperlyConfigured) as refused:
            KeyRing.parse(text)
        assert ONE[:12] not in str(refused.value)

    def test_takes_spaces_between_keys(self) -> None:
        ring = KeyRing.parse(f"new:{TWO}, old:{ONE}")
        assert [name for name, _ in ring.keys] == ["new", "old"]


class TestFingerprint:
    def test_depends_on_message_and_purpose(self) -> None:
        made = {
            fingerprint(message, purpose=purpose)
            for message in (b"", b"a", b"b")
            for purpose in ("one", "two")
        }
        assert len(made) == 6
        assert {len(digest) for digest in made} == {32}

    def test_stays_when_a_key_is_added(self, use_ring: UseRing) -> None:
        use_ring(f"old:{ONE}")
        before = fingerprint(b"message", purpose="one")
        use_ring(f"newest:{THREE},new:{TWO},old:{ONE}")
        assert fingerprint(b"message", purpose="one") == before

    def test_cannot_be_made_without_the_key(self, use_ring: UseRing) -> None:
        use_ring(f"a:{ONE}")
        before = fingerprint(b"message", purpose="one")
        use_ring(f"a:{TWO}")
        assert fingerprint(b"message", purpose="one") != before


class TestSign:
    def test_is_hmac_sha256(self) -> None:
        # RFC 4231, test case 2
        assert crypto.sign(b"Jefe", b"what do ya want for nothing?").hex() == (
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )

    def test_hashes_as_sha256(self) -> None:
        # FIPS 180-4, the empty message
        assert crypto.sha256_hex(b"") == (
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )


class TestSame:
    @given(st.binary(max_size=64), st.binary(max_size=64))
    def test_compares_any_bytes(self, left: bytes, right: bytes) -> None:
        assert crypto.same(left, right) == (left == right)
        assert crypto.same(left, bytes(left))

    def test_does_not_raise_where_texts_would(self) -> None:
        assert not crypto.same("ü".encode(), b"u")
