"""`GET /ledger/balances`: the ledger's figures, with what `payments` does not know, or as of."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ledger.tests.conftest import Story, post
from payments.models import Operation, Payment
from shared import clock
from shared.testing.api import problem_in, registered_merchant
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def merchant() -> SigningClient:
    """One with a payment of 1.00 USD, of which 0.60 are captured, booked at noon and at one."""
    merchant = registered_merchant()
    story = Story(merchant_id=merchant.merchant_id, amount_minor=100)
    post(story.authorised(), now=NOON)
    post(story.captured(60), now=NOON.replace(hour=13))
    return merchant


def doubt(merchant: SigningClient, amount_minor: int, currency: str) -> None:
    """A payment whose authorisation has an unknown outcome."""
    payment = Payment.initiate(
        merchant_id=UUID(merchant.merchant_id),
        payee_account_id=uuid4(),
        idempotency_key=str(uuid4()),
        amount_minor=amount_minor,
        currency=currency,
        method_type="CARD",
        method_token="tok_test",
        now=clock.now(),
    )
    operation = Operation.to_authorise(payment, processor="sandbox", cause_event_id=uuid4())
    operation.outcome = "UNKNOWN"
    operation.save(force_insert=True)


def balances(merchant: SigningClient, query: str = "") -> list[dict[str, str]]:
    answer = merchant.get(f"/ledger/balances{query}")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, str]] = answer.json()["data"]
    return found


class TestBalances:
    def test_show_every_figure_per_currency(self, merchant: SigningClient) -> None:
        assert balances(merchant) == [
            {
                "currency": "USD",
                "pending": "0.40",
                "available": "0.60",
                "inDoubt": "0.00",
                "settled": "0.00",
            }
        ]

    def test_show_doubts_also_where_nothing_is_booked(self, merchant: SigningClient) -> None:
        doubt(merchant, 1_500, "JPY")
        doubt(merchant, 7, "USD")
        doubt(merchant, 8, "USD")
        doubt(registered_merchant(), 9, "USD")
        yen, dollars = balances(merchant)
        assert yen == {
            "currency": "JPY",
            "pending": "0",
            "available": "0",
            "inDoubt": "1500",
            "settled": "0",
        }
        assert (dollars["currency"], dollars["inDoubt"]) == ("USD", "0.15")

    def test_as_of_an_instant_know_no_doubts(self, merchant: SigningClient) -> None:
        doubt(merchant, 7, "USD")
        figures = {"currency": "USD", "settled": "0.00"}
        held = figures | {"pending": "1.00", "available": "0.00"}
        taken = figures | {"pending": "0.40", "available": "0.60"}
        for instant, expected in (
            ("2026-06-01T11:59:59.999999Z", []),
            ("2026-06-01T12:00:00Z", [held]),
            ("2026-06-01T12:59:59.9Z", [held]),
            ("2026-06-01T13:00:00Z", [taken]),
            ("9999-12-31T23:59:59Z", [taken]),
            ("0001-01-01T00:00:00Z", []),
        ):
            assert balances(merchant, f"?asOf={instant}") == expected

    def test_are_each_merchants_own(self, merchant: SigningClient) -> None:
        other = registered_merchant()
        assert balances(other) == balances(other, "?asOf=2026-06-02T00:00:00Z") == []

    @pytest.mark.parametrize(
        "query",
        [
            "asOf=",
            "asOf=now",
            "asOf=2026-06-01",
            "asOf=2026-06-01T12:00:00",
            "asOf=2026-06-01T12:00:00%2B00:00",
            "asOf=2026-06-01T12:00:00+01:00",
            "asOf=2026-06-31T12:00:00Z",
            "asOf=0000-06-01T12:00:00Z",
            "asOf=2026-06-01T12:00:00.1234567Z",
            "asOf=%D9%A2026-06-01T12:00:00Z",
            "asOf=2026-06-01T12:00:00Z%00",
            "asOf=2026-06-01T12:00:00Z%0A",
            "asOf=2026-06-01T12:00:00Z&asOf=2026-06-01T12:00:00Z",
            "limit=5",
            "as_of=2026-06-01T12:00:00Z",
        ],
    )
    def test_refuse_other_queries(self, merchant: SigningClient, query: str) -> None:
        answer = merchant.get(f"/ledger/balances?{query}")
        assert (answer.status_code, problem_in(answer)["code"]) == (400, "invalid_query")
