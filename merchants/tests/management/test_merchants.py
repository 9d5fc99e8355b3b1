"""`manage.py merchants` as an operator meets it."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from merchants.models import ApiKey, Merchant
from merchants.tests.keys import status
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

WHY = ("--reason", "asked by phone", "--actor", "ada")


def merchants(*arguments: object) -> str:
    out = StringIO()
    call_command("merchants", *map(str, arguments), stdout=out)
    return out.getvalue()


def refused(*arguments: object) -> str:
    with pytest.raises(CommandError) as raised:
        merchants(*arguments)
    return str(raised.value)


def action_told() -> tuple[str, str, str]:
    told = Event.objects.latest("sequence").payload
    return told["action"], told["actor"], told["reason"]


class TestLooking:
    def test_lists_newest_first(self) -> None:
        assert merchants("list") == "None.\n"
        for name in ("Acme", "Other"):
            registered_merchant(name, email=f"{name}@example.com")
        header, *rows = merchants("list").splitlines()
        assert header.split()[:3] == ["merchant", "name", "email"]
        assert ["Other" in rows[0], "Acme" in rows[1]] == [True, True]
        assert len(merchants("list", "--limit", 1).splitlines()) == 2

    def test_searches_by_name_and_address(self) -> None:
        acme = registered_merchant("Acme", email="till@example.com")
        registered_merchant("Other", email="other@example.com")
        for text in ("acm", "TILL@"):
            (found,) = json.loads(merchants("list", "--search", text, "--json"))
            assert found["merchant"] == acme.merchant_id

    def test_lists_who_is_suspended(self) -> None:
        assert merchants("list", "--suspended") == "None.\n"
        acme = registered_merchant()
        registered_merchant()
        merchants("suspend", acme.merchant_id, *WHY)
        (found,) = json.loads(merchants("list", "--suspended", "--json"))
        assert found["merchant"] == acme.merchant_id

    def test_shows_a_merchant_and_its_keys_without_secrets(self) -> None:
        acme = registered_merchant()
        said = merchants("show", acme.merchant_id)
        shown = json.loads(merchants("show", acme.merchant_id, "--json"))
        (key,) = shown["keys"]
        assert key["key"] == str(ApiKey.objects.get().pk)
        assert key["use"] == "active"
        assert key["key"] in said
        assert acme.api_key not in said
        assert "no such merchant" in refused("show", uuid4())


class TestIssueKey:
    def test_prints_it_once(self) -> None:
        acme = registered_merchant()
        key, *_ = merchants("issue-key", acme.merchant_id, *WHY).splitlines()
        assert status(SigningClient(acme.merchant_id, key)) == 200
        assert action_told() == ("merchants.api_key.issue", "ada", "asked by phone")
        assert key not in merchants("show", acme.merchant_id)
        assert key not in "".join(str(event.payload) for event in Event.objects.all())


class TestRevokeKey:
    def test_ends_the_last_one_too(self) -> None:
        acme, key = registered_merchant(), ApiKey.objects.get()
        assert merchants("revoke-key", key.pk, *WHY) == f"{key.prefix}… is revoked.\n"
        assert status(acme) == 401
        assert action_told()[0] == "merchants.api_key.revoke"
        assert "no such key" in refused("revoke-key", key.pk, *WHY)


class TestSuspend:
    def test_and_resume(self) -> None:
        acme = registered_merchant()
        assert "is suspended" in merchants("suspend", acme.merchant_id, *WHY)
        assert acme.post("/payments", payment_body()).status_code == 403
        assert "suspended already" in refused("suspend", acme.merchant_id, *WHY)
        assert "changes again" in merchants("resume", acme.merchant_id, *WHY)
        assert acme.post("/payments", payment_body()).status_code == 202
        assert "not suspended" in refused("resume", acme.merchant_id, *WHY)


class TestChangeEmail:
    def test_writes_elsewhere_from_now_on(self) -> None:
        acme = registered_merchant()
        merchants("change-email", acme.merchant_id, "--to", "new@example.com", *WHY)
        assert Merchant.objects.get().email == "new@example.com"
        assert action_told()[0] == "merchants.account.contact"

    def test_refuses_what_is_no_address_and_what_is_a_card_number(self) -> None:
        acme = registered_merchant()
        change = ("change-email", acme.merchant_id, *WHY, "--to")
        assert "no e-mail address" in refused(*change, "new@")
        assert "--to" in refused(*change, "4111111111111111@example.com")


class TestEveryChange:
    @pytest.mark.parametrize("reason", [" ", "x" * 501, "card 4111 1111 1111 1111"])
    def test_wants_a_good_reason(self, reason: str) -> None:
        acme, key = registered_merchant().merchant_id, ApiKey.objects.get().pk
        for change in (
            ("issue-key", acme),
            ("revoke-key", key),
            ("suspend", acme),
            ("resume", acme),
            ("change-email", acme, "--to", "a@example.com"),
        ):
            assert "--reason" in refused(*change, "--reason", reason)
            assert "--reason" in refused(*change)

    def test_wants_an_id(self) -> None:
        for verb in ("show", "issue-key", "suspend", "revoke-key"):
            assert "invalid UUID" in refused(verb, "acme", *([] if verb == "show" else WHY))
