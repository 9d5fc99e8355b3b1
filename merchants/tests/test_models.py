"""Merchants and keys: rows that protect themselves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from merchants import conf
from merchants.models import ApiKey, LastActiveKey, Merchant
from shared import db
from shared.crypto import DoesNotOpen

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)
A_SECOND, A_MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def merchant(email: str = "acme@example.com") -> Merchant:
    return Merchant.register(name="Acme", email=email, now=NOW)


def key(of: Merchant, now: datetime = NOW) -> ApiKey:
    return ApiKey.issue(merchant=of, now=now)[0]


def violated(break_it: Callable[[], Any]) -> str | None:
    """The constraint that refuses a change."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        break_it()
    return db.violated_constraint(refusal.value)


class TestMerchant:
    @pytest.mark.parametrize("again", ["acme@example.com", "ACME@Example.COM", "acmE@example.com"])
    def test_has_an_address_of_its_own_in_any_letter_case(self, again: str) -> None:
        merchant()
        assert violated(lambda: merchant(again)) == "merchant_email_is_unique"

    @pytest.mark.parametrize("version", [0, 3, -1])
    def test_is_pinned_to_a_version_there_is(self, version: int) -> None:
        acme = merchant()
        assert violated(lambda: acme.pin_signature_version(version)) == (
            "merchant_signature_version_is_known"
        )

    def test_is_never_deleted_while_it_has_keys(self) -> None:
        acme = merchant()
        key(acme)
        with pytest.raises(ProtectedError):
            acme.delete()


class TestApiKey:
    def test_is_32_random_bytes_behind_a_prefix(self) -> None:
        acme = merchant()
        plain = {ApiKey.issue(merchant=acme, now=NOW)[1] for _ in range(5)}
        assert len(plain) == 5
        for text in plain:
            assert text.startswith("pk_test_")
            assert len(text) == len("pk_test_") + 43

    def test_is_sealed_and_shows_its_beginning_only(self) -> None:
        issued, plain = ApiKey.issue(merchant=merchant(), now=NOW)
        stored = ApiKey.objects.get(pk=issued.pk)
        assert stored.reveal() == plain
        assert plain.encode() not in bytes(stored.sealed_key or b"")
        assert plain[8:].encode() not in bytes(stored.sealed_key or b"")
        assert (stored.prefix, str(stored)) == (plain[:14], plain[:14] + "…")

    def test_opens_in_its_own_row_only(self) -> None:
        one, two = key(merchant()), key(merchant("other@example.com"))
        one.sealed_key, two.sealed_key = two.sealed_key, one.sealed_key
        for swapped in (one, two):
            with pytest.raises(DoesNotOpen):
                swapped.reveal()

    def test_verifies_until_the_instant_it_expires(self) -> None:
        issued = key(merchant())
        assert issued.expires_at == NOW + timedelta(days=90)
        for at, is_active in (
            (issued.expires_at - A_MICROSECOND, True),
            (issued.expires_at, False),
            (issued.expires_at + A_SECOND, False),
        ):
            assert issued.is_active(at) is is_active
            assert ApiKey.objects.active(at).exists() is is_active
            assert ApiKey.objects.to_purge(at).exists() is not is_active

    def test_has_a_ciphertext_exactly_until_it_is_purged(self) -> None:
        issued = key(merchant())
        rows = ApiKey.objects.filter(pk=issued.pk)
        for change in ({"sealed_key": None}, {"purged_at": NOW}):
            assert violated(lambda change=change: rows.update(**change)) == (  # type: ignore[misc]
                "api_key_ciphertext_until_purged"
            )
        issued.purge(now=NOW)
        assert not issued.is_active(NOW)
        assert violated(lambda: rows.update(sealed_key=b"x")) == "api_key_ciphertext_until_purged"

    def test_is_revoked_unless_it_is_the_last(self) -> None:
        acme = merchant()
        first = key(acme)
        key(merchant("other@example.com"))
        with pytest.raises(LastActiveKey):
            first.revoke(now=NOW)
        second = key(acme)
        first.revoke(now=NOW)
        assert first.was_revoked
        with pytest.raises(LastActiveKey):
            second.revoke(now=NOW)

    def test_notes_its_use_once_a_minute(self) -> None:
        issued = key(merchant())
        used_at = []
        for seconds in (0, 59, 60, 61, 120):
            issued.refresh_from_db()
            issued.touch(now=NOW + timedelta(seconds=seconds))
            issued.refresh_from_db()
            used_at.append(issued.last_used_at)
        minute = timedelta(minutes=1)
        assert used_at == [NOW, NOW, NOW + minute, NOW + minute, NOW + 2 * minute]

    def test_never_lives_longer_by_an_overlap(self) -> None:
        old = key(merchant(), NOW - conf.KEY_LIFETIME + A_SECOND)
        old.replace(overlap_seconds=24 * 3600, now=NOW)
        old.refresh_from_db()
        assert old.expires_at == NOW + A_SECOND

    def test_knows_what_made_it_if_it_replaces_another(self) -> None:
        old = key(merchant())
        ApiKey.issue_instead(old, rotation_fingerprint=b"x", now=NOW)
        for change in ({"replaces": None}, {"rotation_fingerprint": None}):
            rows = ApiKey.objects.exclude(pk=old.pk)
            assert violated(lambda rows=rows, change=change: rows.update(**change)) == (  # type: ignore[misc]
                "api_key_rotation_is_known"
            )

    def test_belongs_to_a_merchant_there_is(self) -> None:
        nobody = Merchant(pk=uuid4(), name="Nobody", email="nobody@example.com", created_at=NOW)
        with pytest.raises(IntegrityError), transaction.atomic():
            key(nobody)
