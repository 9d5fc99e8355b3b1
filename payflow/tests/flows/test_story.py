"""`manage.py story` tells what happened, what did not yet, and nothing that is secret."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from payflow.story.page import WIDTH
from shared.event_bus import _registry, drain
from shared.identifiers import new_id
from shared.models import Event, Publication
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

PAN = "4111111111111111"


@pytest.fixture
def merchant() -> SigningClient:
    return registered_merchant("Acme Corp", email="till@example.com")


@pytest.fixture
def payment(merchant: SigningClient) -> dict[str, Any]:
    answer = merchant.post("/payments", payment_body())
    assert answer.status_code == 202, answer.content
    return {"id": answer.json()["paymentId"], "story": answer.headers["X-Correlation-ID"]}


def told(id_: str) -> str:
    out = StringIO()
    call_command("story", id_, stdout=out)
    assert max(len(line) for line in out.getvalue().splitlines()) <= WIDTH
    return out.getvalue()


def line(text: str, *words: str) -> str:
    found = [each for each in text.splitlines() if all(word in each for word in words)]
    assert found, (words, text)
    return found[0]


def break_the_ledger(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    def refuse(events: object) -> None:
        raise ValueError(words)

    entry = _registry.listeners["ledger.post_movements"]
    monkeypatch.setitem(_registry.listeners, entry.id, replace(entry, function=refuse))


def fail_until_parked() -> None:
    for _ in range(5):
        Publication.objects.filter(due_at__isnull=False).update(due_at="2020-01-01T00:00:00Z")
        drain()


class TestStory:
    def test_tells_a_whole_payment(self, merchant: SigningClient, payment: dict[str, Any]) -> None:
        drain()
        merchant.post(f"/payments/{payment['id']}/capture", {"idempotencyKey": "capture-1"})
        drain()

        text = told(payment["story"])

        assert line(text, "Payment", payment["id"], "CAPTURED, 250.00 USD")
        order = [
            "Payment.Transaction.Initiated.v1",
            "Fraud.Assessment.Completed.v1",
            "Payment.Transaction.Authorised.v1",
            "Payment.Transaction.Captured.v1",
        ]
        places = [text.index(name) for name in order]
        assert places == sorted(places)
        assert line(text, "Fraud.Assessment.Completed.v1", " fraud")
        assert line(text, "→ ledger.post_movements", "done")
        assert line(text, "AUTHORISE", "250.00 USD", "sandbox", "1", "APPROVED")
        assert line(text, "CAPTURE", "250.00 USD", "APPROVED")
        assert line(text, "payment_captured", "sent at +")
        assert line(text, "AUTH", "250.00 USD")
        assert "waiting" not in text

    def test_takes_the_id_of_the_payment_too(self, payment: dict[str, Any]) -> None:
        drain()

        def without_time(text: str) -> str:
            return text.partition("next in")[0]

        assert without_time(told(payment["id"])) == without_time(told(payment["story"]))

    def test_tells_what_has_not_been_done_yet(self, payment: dict[str, Any]) -> None:
        text = told(payment["story"])
        assert line(text, "fraud.assess_payment", "waiting, claimed 0×, failed 0×")
        assert "Calls to processors" not in text

    def test_tells_of_a_parked_publication_and_what_it_holds_back(
        self,
        merchant: SigningClient,
        payment: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        break_the_ledger(monkeypatch, "the books are closed")
        drain()
        fail_until_parked()
        merchant.post(f"/payments/{payment['id']}/capture", {"idempotencyKey": "capture-1"})
        drain()

        text = told(payment["story"])

        assert line(text, "ledger.post_movements", "PARKED", "failed 5×")
        assert line(text, "ValueError: the books are closed")
        behind = text[text.index("Payment.Transaction.Captured.v1") :]
        assert line(behind, "ledger.post_movements", "blocked, claimed 0×")
        assert line(behind, "audit.record_event", "done")

    def test_tells_what_the_trail_kept_when_the_registry_is_purged(
        self, payment: dict[str, Any]
    ) -> None:
        drain()
        before = told(payment["story"])
        with connections["owner"].cursor() as cursor:
            cursor.execute("DELETE FROM shared.event")
        assert not Event.objects.exists()

        text = told(payment["story"])

        assert "from the audit trail" in text and "from the audit trail" not in before
        assert line(text, "Payment.Transaction.Authorised.v1", " payments")
        assert line(text, "AUTHORISE", "250.00 USD")

    def test_tells_a_story_that_is_no_payment(self, merchant: SigningClient) -> None:
        text = told(str(Event.objects.get().correlation_id))
        assert line(text, "Merchant.Account.Registered.v1", "merchants")
        assert "Payment " not in text

    def test_asks_each_module_in_a_statement_of_its_own(self, payment: dict[str, Any]) -> None:
        drain()
        with CaptureQueriesContext(connections["default"]) as asked:
            told(payment["story"])
        assert len(asked) < 15

    def test_says_so_when_nothing_is_known(self) -> None:
        unknown = str(new_id())
        with pytest.raises(CommandError, match=f"Nothing is known .* {unknown}"):
            told(unknown)
        with pytest.raises(CommandError, match="must be a UUID"):
            told("pay-1")

    def test_prints_nothing_that_is_secret(
        self,
        merchant: SigningClient,
        payment: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        break_the_ledger(monkeypatch, f"no card {PAN} here\x1b[31m")
        drain()
        fail_until_parked()
        text = told(payment["story"])
        assert "PARKED" in text
        for secret in (merchant.api_key, "till@example.com", "tok_test", PAN, "\x1b"):
            assert secret not in text
