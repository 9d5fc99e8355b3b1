"""Merchants and keys in the admin."""

import base64
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from merchants.models import ApiKey, Merchant
from merchants.tests.keys import rotate, status
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def merchant() -> SigningClient:
    return registered_merchant()


KEY = re.compile(r"pk_test_[A-Za-z0-9_-]{43}")


def every_row(*tables: str) -> str:
    """All that stands in these tables, as text."""
    rows = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} AS t")
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def types_published() -> list[str]:
    return list(Event.objects.order_by("sequence").values_list("event_type", flat=True))


class TestRevoke:
    def test_ends_a_key_at_once_and_is_audited(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        old = ApiKey.objects.get()
        renewed = rotate(merchant, 3600)
        page = operator.act("revoke", old, reason="found in a public repository")
        assert "Revoke: 1 API key." in page
        assert merchant.get("/merchants/me").status_code == 401
        assert status(renewed) == 200
        assert types_published()[-2:] == ["Merchant.ApiKey.Revoked", "Operator.Action.Taken"]
        told = Event.objects.latest("sequence").payload
        assert (told["actor"], told["reason"]) == ("olga", "found in a public repository")
        assert operator.list(ApiKey, use="active").context["cl"].result_count == 1
        assert operator.list(ApiKey, use="ended").context["cl"].result_count == 1

    def test_takes_the_last_active_key_once(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        key = ApiKey.objects.get()
        assert "Revoke: 1 API key." in operator.act("revoke", key)
        assert status(merchant) == 401
        assert "Revoke: not for 1 API key. There is no such key." in operator.act("revoke", key)
        assert types_published().count("Operator.Action.Taken") == 1

    def test_asks_for_a_reason(self, operator: OperatorClient, merchant: SigningClient) -> None:
        rotate(merchant, 3600)
        assert "Say why" in operator.act("revoke", ApiKey.objects.earliest("created_at"), reason="")
        assert not ApiKey.objects.exclude(revoked_at=None).exists()


class TestIssueKey:
    def issue(self, operator: OperatorClient, *rows: Merchant, key_id: UUID | None = None) -> Any:
        more = {
            "index": "0",
            "confirmed": "yes",
            "reason": "lost",
            "key_id": str(key_id or uuid4()),
        }
        return operator.post("issue_key", *rows, **more)

    def test_shows_the_key_on_the_answer_and_nowhere_else(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        row = Merchant.objects.get()
        answer = self.issue(operator, row)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        (key,) = set(KEY.findall(text(answer)))
        assert status(SigningClient(merchant.merchant_id, key)) == 200
        assert status(merchant) == 200
        later = text(operator.list(Merchant)) + text(operator.page(row))
        later += "".join(text(operator.page(key)) for key in ApiKey.objects.all())
        later += text(operator.list(ApiKey)) + every_row("django_session", "django_admin_log")
        later += "".join(str(event.payload) for event in Event.objects.all())
        assert key not in later
        assert types_published()[-2:] == ["Merchant.ApiKey.Issued", "Operator.Action.Taken"]

    def test_sent_again_issues_and_shows_nothing(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        row, key_id = Merchant.objects.get(), uuid4()
        self.issue(operator, row, key_id=key_id)
        answer = operator.client.get(self.issue(operator, row, key_id=key_id).headers["Location"])
        assert "This key was issued already" in text(answer)
        assert KEY.findall(text(answer)) == []
        assert ApiKey.objects.count() == 2

    def test_asks_with_an_id_of_its_own_each_time(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        row = Merchant.objects.get()
        pages = [text(operator.choose("issue_key", row)) for _ in range(2)]
        found = [re.findall(r'type="hidden" name="key_id" value="([^"]+)"', page) for page in pages]
        assert [len(ids) for ids in found] == [1, 1]
        assert found[0] != found[1]

    def test_is_for_one_merchant_at_a_time_and_with_a_reason(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        registered_merchant()
        answer = self.issue(operator, *Merchant.objects.all())
        assert "Choose one merchant." in text(answer)
        page = operator.act("issue_key", Merchant.objects.latest("pk"), reason="")
        assert "Say why" in page
        assert ApiKey.objects.count() == 2

    def test_is_not_for_those_who_may_only_look(self, merchant: SigningClient) -> None:
        row, visitor = Merchant.objects.get(), OperatorClient.who_may_only_view()
        for action in ("issue_key", "suspend", "change_contact"):
            visitor.post(
                action, row, confirmed="yes", reason="x", key_id=str(uuid4()), email="a@b.co"
            )
        assert ApiKey.objects.count() == 1
        assert not Merchant.objects.get().is_suspended


class TestSuspend:
    def test_and_resume(self, operator: OperatorClient, merchant: SigningClient) -> None:
        row = Merchant.objects.get()
        assert "Suspend: 1 merchant." in operator.act("suspend", row, reason="case 815")
        assert merchant.post("/payments", payment_body()).status_code == 403
        assert operator.list(Merchant, standing="suspended").context["cl"].result_count == 1
        assert operator.list(Merchant, standing="active").context["cl"].result_count == 0
        assert "This merchant is suspended already" in operator.act("suspend", row)
        assert "Resume: 1 merchant." in operator.act("resume", row)
        assert merchant.post("/payments", payment_body()).status_code == 202


class TestChangeContact:
    def change(self, operator: OperatorClient, email: str) -> str:
        answer = operator.post(
            "change_contact", Merchant.objects.get(), confirmed="yes", reason="why", email=email
        )
        is_done = answer.status_code == 302
        return text(operator.client.get(answer.headers["Location"]) if is_done else answer)

    def test_writes_elsewhere(self, operator: OperatorClient, merchant: SigningClient) -> None:
        assert "1 merchant." in self.change(operator, "new@example.com")
        assert Merchant.objects.get().email == "new@example.com"

    def test_refuses_in_words(self, operator: OperatorClient, merchant: SigningClient) -> None:
        assert "This is no e-mail address" in self.change(operator, "new@")
        assert "card number" in self.change(operator, "4111111111111111@example.com")
        assert "This field is required" in self.change(operator, "")


class TestPinSignatureVersion:
    def test_refuses_v1_from_then_on_and_is_audited(
        self, operator: OperatorClient, merchant: SigningClient
    ) -> None:
        row = Merchant.objects.get()
        page = operator.act("pin_signature_version", row, reason="asked for by mail")
        assert "Require signature v2: 1 merchant." in page
        assert merchant.post("/payments", payment_body()).status_code == 401
        told = Event.objects.latest("sequence").payload
        assert told["action"] == "merchants.signature_version.pin"
        assert told["reason"] == "asked for by mail"

    def test_asks_for_a_reason(self, operator: OperatorClient, merchant: SigningClient) -> None:
        assert "Say why" in operator.act("pin_signature_version", Merchant.objects.get(), reason="")
        assert Merchant.objects.get().minimum_signature_version == 1


class TestRows:
    def test_never_show_a_key(self, operator: OperatorClient, merchant: SigningClient) -> None:
        key = ApiKey.objects.get()
        sealed = bytes(key.sealed_key or b"")
        shown = text(operator.list(ApiKey)) + text(operator.page(key))
        shown += text(operator.page(Merchant.objects.get())) + text(operator.choose("revoke", key))
        assert key.prefix in shown
        for secret in (
            merchant.api_key,
            sealed.hex(),
            base64.b64encode(sealed).decode()[:20],
            repr(sealed)[2:22],
        ):
            assert secret not in shown
        assert "sealed" not in shown.lower()

    def test_withstand_and_refuse(self, operator: OperatorClient, merchant: SigningClient) -> None:
        for row in (Merchant.objects.get(), ApiKey.objects.get()):
            withstands_hostile_terms(operator, type(row))
            refuses_changes(operator, row)
