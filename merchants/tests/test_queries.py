"""Reads: the statement of every request finds what the models call active."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from merchants import conf
from merchants.models import ApiKey, Merchant
from merchants.queries import list_active_keys, list_verifying_keys

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def merchant(email: str = "acme@example.com") -> Merchant:
    return Merchant.register(name="Acme", email=email, now=NOW)


def keys_of_every_kind(acme: Merchant) -> list[ApiKey]:
    """Fresh, revoked, purged, run out, replaced for now and at once, and their successors."""
    keys = [ApiKey.issue(merchant=acme, now=NOW)[0] for _ in range(5)]
    keys.append(ApiKey.issue(merchant=acme, now=NOW - conf.KEY_LIFETIME)[0])
    keys[1].revoke(now=NOW)
    keys[2].purge(now=NOW)
    for key, overlap_seconds in ((keys[3], 60), (keys[4], 0)):
        key.replace(overlap_seconds=overlap_seconds, now=NOW)
        keys.append(ApiKey.issue_instead(key, rotation_fingerprint=b"x", now=NOW)[0])
    return keys


class TestListVerifyingKeys:
    @pytest.mark.parametrize("seconds", [0, 59, 60, 90 * 24 * 3600 - 1, 90 * 24 * 3600])
    def test_are_the_active_ones_at_any_time(self, seconds: int) -> None:
        acme, now = merchant(), NOW + timedelta(seconds=seconds)
        keys_of_every_kind(acme)
        ApiKey.issue(merchant=merchant("other@example.com"), now=NOW)
        found = list_verifying_keys(acme.pk, now)
        assert {key.pk for key in found} == {key.pk for key in list_active_keys(acme.pk, now)}

    def test_are_whole_rows_with_what_belongs_to_them_in_one_statement(self) -> None:
        acme = merchant()
        keys_of_every_kind(acme)
        with CaptureQueriesContext(connection) as queries:
            found = list_verifying_keys(acme.pk, NOW)
            related = [(key.merchant, key.replaces) for key in found]
        assert len(queries) == 1
        assert any(replaced for _, replaced in related)
        for key, (owner, replaced) in zip(found, related, strict=True):
            assert fields(key) == fields(ApiKey.objects.get(pk=key.pk))
            assert fields(owner) == fields(Merchant.objects.get(pk=acme.pk))
            if replaced is not None and key.replaces_id is not None:
                assert fields(replaced) == fields(ApiKey.objects.get(pk=key.replaces_id))

    def test_are_no_more_than_there_may_be(self) -> None:
        acme = merchant()
        for number in range(8):
            ApiKey.issue(merchant=acme, now=NOW + timedelta(seconds=number))
        found = list_verifying_keys(acme.pk, NOW)
        newest = ApiKey.objects.order_by("-created_at")[: conf.MAX_ACTIVE_KEYS]
        assert [key.pk for key in found] == [key.pk for key in newest]


def fields(row: ApiKey | Merchant) -> dict[str, object]:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {n: bytes(v) if isinstance(v, bytes | memoryview) else v for n, v in values.items()}
