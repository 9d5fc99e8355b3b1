"""Registering: one merchant per address, however many ask at once."""

from datetime import UTC, datetime
from functools import partial

import pytest
from django.test import Client

from merchants.models import ApiKey, Merchant
from merchants.use_cases.register_merchant import MerchantExists, register_merchant
from shared.models import Event
from shared.testing.races import race
from shared.testing.signing import JSON

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class TestRegisterMerchant:
    def test_makes_a_merchant_with_one_key_and_tells(self) -> None:
        registered = register_merchant(name="Acme", email="acme@example.com", now=NOW)
        (event,) = Event.objects.all()
        assert event.event_type == "Merchant.Account.Registered"
        assert event.merchant_id == registered.merchant.pk
        assert registered.plain_key not in str(event.payload)
        assert registered.key.reveal() == registered.plain_key
        assert ApiKey.objects.count() == 1

    @pytest.mark.parametrize("again", ["acme@example.com", "ACME@EXAMPLE.COM", "Acme@example.Com"])
    def test_refuses_an_address_it_knows_in_any_letter_case(self, again: str) -> None:
        register_merchant(name="Acme", email="acme@example.com", now=NOW)
        with pytest.raises(MerchantExists):
            register_merchant(name="Acme", email=again, now=NOW)
        assert (Merchant.objects.count(), ApiKey.objects.count(), Event.objects.count()) == (
            1,
            1,
            1,
        )

    def test_makes_one_merchant_when_eight_ask_at_once(self) -> None:
        def register(email: str) -> int:
            body = {"name": "Acme", "email": email}
            answer = Client().post("/api/v1/merchants/register", body, content_type=JSON)
            return int(answer.status_code)

        emails = ["acme@example.com", "ACME@example.com"] * 4
        statuses = race([partial(register, email) for email in emails])
        assert sorted(statuses) == [201, *[409] * 7]
        assert (Merchant.objects.count(), ApiKey.objects.count(), Event.objects.count()) == (
            1,
            1,
            1,
        )
