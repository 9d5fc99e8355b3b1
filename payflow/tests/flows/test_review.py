"""The story of a doubtful payment: rules ask, an operator decides, everybody hears of it once."""

from typing import Any
from uuid import UUID

import pytest
from django.core import mail

from audit.models import Record
from fraud.domain.engine import Decision
from fraud.models import Assessment, ReviewAlreadyDecided, Rule
from fraud.use_cases.change_setting import change_setting
from fraud.use_cases.decide_review import decide_review
from ledger.queries import find_imbalances
from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import SigningClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def merchant() -> SigningClient:
    """A merchant, after operators decided to look at the second payment with one instrument."""
    rule = Rule.objects.get(kind="VELOCITY")
    rule.is_enabled, rule.parameters = True, {"seconds": 600, "count": 2}
    change_setting(setting=rule, actor="olga", reason="card testing", now=clock.now())
    return registered_merchant(email="till@example.com")


@pytest.fixture
def doubtful(merchant: SigningClient) -> str:
    """The id of a payment that waits for an operator, behind one that was authorised."""
    for _ in range(2):
        answer = merchant.post("/payments", payment_body())
        assert answer.status_code == 202, answer.content
        drain()
    mail.outbox.clear()
    return str(answer.json()["paymentId"])


def decide(payment_id: str, decision: Decision) -> None:
    decide_review(
        assessment_id=Assessment.objects.get(payment_id=UUID(payment_id)).pk,
        decision=decision,
        actor="olga",
        reason="spoke to them",
        now=clock.now(),
    )


def shown(merchant: SigningClient, path: str) -> dict[str, Any]:
    answer = merchant.get(path)
    assert answer.status_code == 200, answer.content
    document: dict[str, Any] = answer.json()
    return document


def story(merchant: SigningClient, payment_id: str) -> list[str]:
    told = shown(merchant, f"/payments/{payment_id}/events")["data"]
    types = [event["eventType"] for event in told]
    return [name for name in types if not name.startswith("Notification.")]


class TestReview:
    def test_holds_the_payment_and_nothing_else(
        self, merchant: SigningClient, doubtful: str
    ) -> None:
        payment = shown(merchant, f"/payments/{doubtful}")
        assert (payment["status"], payment["ledgerEntries"]) == ("IN_REVIEW", [])
        assessment = shown(merchant, f"/fraud/assessments/{doubtful}")
        assert (assessment["decision"], assessment["score"]) == ("REVIEW", 50)
        assert [hit["rule"] for hit in assessment["rules"]] == ["many-payments-with-one-instrument"]
        assert mail.outbox == []
        listed = shown(merchant, "/payments?status=IN_REVIEW")["data"]
        assert [payment["paymentId"] for payment in listed] == [doubtful]

    def test_approved_goes_the_way_of_every_payment(
        self, merchant: SigningClient, doubtful: str
    ) -> None:
        decide(doubtful, Decision.APPROVE)
        drain()
        payment = shown(merchant, f"/payments/{doubtful}")
        assert (payment["status"], payment["authorisedAmount"]) == ("AUTHORISED", "250.00")
        assert [entry["type"] for entry in payment["ledgerEntries"]] == ["AUTH"]
        assert story(merchant, doubtful) == [
            "Payment.Transaction.Initiated",
            "Fraud.Assessment.Completed",
            "Fraud.Review.Decided",
            "Payment.Transaction.Authorised",
            "Ledger.Entry.Posted",
        ]
        assert [message.subject for message in mail.outbox] == ["Payment of 250.00 USD authorised"]
        (balance,) = shown(merchant, "/ledger/balances")["data"]
        assert balance["pending"] == "500.00"
        assert find_imbalances() == []

    def test_declined_ends_there(self, merchant: SigningClient, doubtful: str) -> None:
        decide(doubtful, Decision.DECLINE)
        drain()
        payment = shown(merchant, f"/payments/{doubtful}")
        assert (payment["status"], payment["declineReason"]) == ("DECLINED", "fraud_assessment")
        assert payment["ledgerEntries"] == []
        assert story(merchant, doubtful)[2:] == [
            "Fraud.Review.Decided",
            "Payment.Transaction.Declined",
        ]
        assert [message.subject for message in mail.outbox] == ["Payment of 250.00 USD declined"]

    def test_is_decided_once(self, merchant: SigningClient, doubtful: str) -> None:
        decide(doubtful, Decision.DECLINE)
        drain()
        with pytest.raises(ReviewAlreadyDecided):
            decide(doubtful, Decision.APPROVE)
        drain()
        assert shown(merchant, f"/payments/{doubtful}")["status"] == "DECLINED"
        assert len(mail.outbox) == 1

    def test_leaves_a_trail_of_who_decided_and_why(
        self, merchant: SigningClient, doubtful: str
    ) -> None:
        decide(doubtful, Decision.APPROVE)
        drain()
        trail = Record.objects.filter(event_type="Operator.Action.Taken").order_by("id")
        changed, decided = (record.payload for record in trail)
        assert (changed["action"], changed["reason"]) == ("fraud.rule.change", "card testing")
        assert decided == {
            "actor": "olga",
            "action": "fraud.review.approve",
            "subject": doubtful,
            "reason": "spoke to them",
        }
        # Who works at the platform is nothing that merchants see.
        seen = shown(merchant, "/audit/events?limit=100")["data"]
        assert "olga" not in str(seen)
