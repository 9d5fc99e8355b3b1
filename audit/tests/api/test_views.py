"""`GET /audit/events`: the merchant's own trail, newest first, in pages."""

from datetime import timedelta
from typing import Any

import pytest

from audit.tests.conftest import initiated, recorded
from shared import clock
from shared.event_bus import drain
from shared.events.payments import PaymentTransactionAuthorised
from shared.testing.api import payment_body, refused, registered_merchant
from shared.testing.events import example
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

NOW = clock.parse("2026-06-01T12:00:00Z")


@pytest.fixture
def merchant() -> SigningClient:
    return registered_merchant()


def at(minute: int, merchant: SigningClient, **changes: Any) -> str:
    """The id of an event that happened so many minutes after noon."""
    occurred_at = clock.iso(NOW + timedelta(minutes=minute))
    event = initiated(merchant_id=merchant.merchant_id, occurred_at=occurred_at, **changes)
    recorded(event)
    return event.event_id


def events(merchant: SigningClient, query: str = "") -> dict[str, Any]:
    answer = merchant.get("/audit/events" + query)
    assert answer.status_code == 200, answer.content
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [event["eventId"] for event in page["data"]]


class TestAuditEvents:
    def test_shows_an_event_as_it_was(self, merchant: SigningClient) -> None:
        event = initiated(merchant_id=merchant.merchant_id)
        recorded(event)
        assert events(merchant) == {
            "data": [
                {
                    "eventId": event.event_id,
                    "eventType": "Payment.Transaction.Initiated",
                    "version": 1,
                    "occurredAt": event.occurred_at,
                    "correlationId": event.correlation_id,
                    "payload": event.payload(),
                }
            ],
            "nextCursor": None,
        }

    def test_pages_from_the_newest_on_without_gap_or_repetition(
        self, merchant: SigningClient
    ) -> None:
        # Two of every minute, so that a page ends between two events of one instant.
        expected = [at(minute // 2, merchant) for minute in range(9)][::-1]
        found, query = [], "?limit=3"
        for _ in range(3):
            page = events(merchant, query)
            found += ids(page)
            query = f"?limit=3&cursor={page['nextCursor']}"
        assert found == expected
        assert page["nextCursor"] is None

    def test_shows_nothing_twice_though_more_happens_meanwhile(
        self, merchant: SigningClient
    ) -> None:
        older = [at(minute, merchant) for minute in range(4)]
        page = events(merchant, "?limit=2")
        at(9, merchant)
        rest = events(merchant, f"?limit=2&cursor={page['nextCursor']}")
        assert ids(page) + ids(rest) == older[::-1]

    def test_filters_by_type_and_time(self, merchant: SigningClient) -> None:
        first, second = at(0, merchant), at(1, merchant)
        authorised = example(PaymentTransactionAuthorised, merchant_id=merchant.merchant_id)
        recorded(authorised)
        of_type = events(merchant, "?eventType=Payment.Transaction.Authorised")
        assert ids(of_type) == [authorised.event_id]
        assert ids(events(merchant, "?eventType=Of.The.Future")) == []
        minute = "2026-06-01T12:01:00Z"
        assert ids(events(merchant, f"?createdTo={minute}")) == [first]
        assert second in ids(events(merchant, f"?createdFrom={minute}"))
        assert first not in ids(events(merchant, f"?createdFrom={minute}"))

    def test_shows_another_merchant_nothing(self, merchant: SigningClient) -> None:
        other = registered_merchant("Other Ltd")
        theirs = at(0, merchant)
        recorded(initiated(merchant_id=None))
        page = events(merchant, "?limit=1")
        assert ids(page) == [theirs]
        assert ids(events(other)) == []

    def test_shows_the_trail_of_a_payment(self, merchant: SigningClient) -> None:
        answer = merchant.post("/payments", payment_body())
        drain()
        story_id = answer.json()["correlationId"]
        told = events(merchant, "?limit=100")["data"]
        story = [event for event in told if event["correlationId"] == story_id]
        assert {event["eventType"] for event in story} >= {
            "Payment.Transaction.Initiated",
            "Payment.Transaction.Authorised",
        }

    def test_refuses_what_it_does_not_know(self, merchant: SigningClient) -> None:
        for query in ("?limit=0", "?limit=101", "?cursor=x", "?sort=id", "?createdFrom=noon"):
            refused(merchant.get("/audit/events" + query), 400, "invalid_query")
