"""A merchant who is locked out gets in again by what an operator can do, and a thief does not."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command

from merchants.models import ApiKey
from merchants.tests.keys import ask_rotation, rotate, status
from merchants.use_cases.purge_api_keys import purge_api_keys
from merchants.use_cases.warn_of_ending_keys import warn_of_ending_keys
from payflow.tests.flows.test_secrets import every_row, found
from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WHY = ("--reason", "called back on the number of the contract", "--actor", "olga")


def operator(*arguments: str) -> str:
    """What `manage.py merchants` says."""
    out = StringIO()
    call_command("merchants", *arguments, *WHY, stdout=out)
    return out.getvalue()


def given_a_key(merchant: SigningClient) -> SigningClient:
    """The merchant with the key that an operator issued."""
    key = operator("issue-key", merchant.merchant_id).splitlines()[0]
    return SigningClient(merchant.merchant_id, key)


def revoke_all(merchant: SigningClient) -> None:
    for key in ApiKey.objects.active(clock.now()).filter(merchant_id=merchant.merchant_id):
        operator("revoke-key", str(key.pk))


def mails() -> list[str]:
    """The subjects of what the merchant was told since the last look."""
    drain()
    subjects = [str(message.subject) for message in mail.outbox]
    mail.outbox.clear()
    return subjects


def pays(merchant: SigningClient) -> bool:
    return bool(merchant.post("/payments", payment_body()).status_code == 202)


def gets_nothing(thief: SigningClient, *overlaps: int) -> None:
    """Whoever signs with this key reads nothing, pays nothing, and gets no key."""
    answers: list[Any] = [thief.get("/merchants/me"), thief.post("/payments", payment_body())]
    answers += [ask_rotation(thief, overlap) for overlap in (0, *overlaps)]
    answers += [ask_rotation(thief, overlap, "thief") for overlap in (0, 3600)]
    assert {answer.status_code for answer in answers} == {401}
    assert not any(b"pk_test_" in answer.content for answer in answers)


class TestLockedOut:
    def test_because_the_key_passed_its_ninety_days(self) -> None:
        merchant = registered_merchant()
        mails()
        with time_machine.travel(clock.now(), tick=False) as time:
            for days in (76, 87):
                time.move_to(ApiKey.objects.get().created_at + days * DAY)
                warn_of_ending_keys(now=clock.now())
            assert mails() == [f"An API key ends within {days} days" for days in (14, 3)]
            time.move_to(ApiKey.objects.get().expires_at)
            purge_api_keys(now=clock.now())
            assert mails() == ["An API key has ended"]
            assert status(merchant) == 401

            renewed = given_a_key(merchant)

            assert mails() == ["We issued an API key for you"]
            assert pays(renewed)
            gets_nothing(merchant)

    def test_because_the_new_key_was_lost(self) -> None:
        """Rotated without an overlap, and nobody asked again before the day was over."""
        merchant = registered_merchant()
        lost = rotate(merchant, 0)
        mails()
        with time_machine.travel(clock.now() + DAY, tick=False):
            assert ask_rotation(merchant, 0).status_code == 401

            revoke_all(merchant)
            renewed = given_a_key(merchant)

            assert set(mails()) == {"An API key was revoked", "We issued an API key for you"}
            assert pays(renewed)
            for gone in (merchant, lost):
                gets_nothing(gone)

    def test_because_the_key_was_stolen(self) -> None:
        """The thief rotated first, so that the merchant's own key ended."""
        merchant = registered_merchant()
        mails()
        thief = rotate(merchant, 0, "thief")
        assert (status(thief), status(merchant)) == (200, 401)
        assert mails() == ["A new API key was issued"]

        operator("suspend", merchant.merchant_id)
        assert thief.post("/payments", payment_body()).status_code == 403
        assert ask_rotation(thief, 0, "another").status_code == 403
        revoke_all(merchant)
        renewed = given_a_key(merchant)
        operator("resume", merchant.merchant_id)

        assert pays(renewed)
        for stolen in (merchant, thief):
            gets_nothing(stolen)

    def test_because_the_key_was_stolen_and_the_rotation_was_seen(self) -> None:
        """Whoever holds the old key and every byte of the rotation has nothing by that."""
        merchant = registered_merchant()
        lost = ask_rotation(merchant, 0)
        thief = SigningClient(merchant.merchant_id, merchant.api_key)

        revoke_all(merchant)
        renewed = given_a_key(merchant)

        assert pays(renewed)
        gets_nothing(thief)
        gets_nothing(SigningClient(merchant.merchant_id, lost.json()["apiKey"]))

    def test_and_nobody_wrote_a_key_down(self, caplog: pytest.LogCaptureFixture) -> None:
        merchant = registered_merchant()
        issued, rotated = given_a_key(merchant), rotate(merchant, 0)
        ask_rotation(merchant, 0)
        for one in (issued, rotated):
            assert pays(one)
        drain()
        secrets = {"issued": issued.api_key, "rotated": rotated.api_key}
        secrets |= {f"{name}, its end": key[14:] for name, key in secrets.items()}
        assert mail.outbox
        assert found(secrets, every_row()) == []
        assert found(secrets, "".join(str(one.message()) for one in mail.outbox)) == []
        assert found(secrets, caplog.text) == []

    def test_is_told_at_both_addresses_when_it_moves(self) -> None:
        merchant = registered_merchant(email="till@example.com")
        mails()
        operator("change-email", merchant.merchant_id, "--to", "new@example.com")
        drain()
        told = {tuple(message.to): message.subject for message in mail.outbox}
        assert told == {
            ("new@example.com",): "This is your address at PayFlow now",
            ("till@example.com",): "Your address at PayFlow was changed",
        }

    def test_hears_at_the_new_address_of_what_began_before(self) -> None:
        merchant = registered_merchant(email="till@example.com")
        mails()
        assert pays(merchant)  # its events carry the old address, now and for months
        operator("change-email", merchant.merchant_id, "--to", "new@example.com")
        drain()
        told = [message.to for message in mail.outbox if "250.00 USD" in message.subject]
        assert told == [["new@example.com"]]
