"""What payments cost in statements: nothing that grows with their number in a batch."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payflow.tests.flows.test_kill import payment_body, registered
from payments.queries import list_payments
from payments.use_cases.initiate_payment import Terms, initiate_payment
from shared import clock
from shared.event_bus import _queue, drain
from shared.identifiers import new_id

pytestmark = pytest.mark.django_db

BATCH = _queue.BATCH_SIZE
WORK_CEILING = 68
"""Statements of a whole chain but for looking for work; 66 on the day this was written."""

REQUEST_STATEMENTS = 5
"""The merchant's keys, the idempotency key, the payment, its event, the answer."""


def cost_of_draining(count: int) -> tuple[int, int]:
    """All statements of a drain of so many new payments, and those that do the work."""
    merchant_id = new_id()
    for number in range(count):
        terms = Terms(
            merchant_id=merchant_id,
            merchant_name="Acme Corp",
            merchant_email="till@example.com",
            payee_account_id=new_id(),
            idempotency_key=f"key-{number}",
            amount_minor=25_000,
            currency="USD",
            method_type="CARD",
            method_token="tok_test",
            description="",
            metadata={},
        )
        initiate_payment(terms=terms, now=clock.now())
    with CaptureQueriesContext(connection) as queries:
        drain()
    assert list_payments(merchant_id=merchant_id, status="AUTHORISED").count() == count
    looking = [
        query for query in queries if "FOR UPDATE" in query["sql"] and "SKIP LOCKED" in query["sql"]
    ]
    return len(queries), len(queries) - len(looking)


class TestRequest:
    def test_is_taken_with_five_statements(self) -> None:
        merchant = registered()
        merchant.send("POST", "/payments", payment_body("first"))

        with CaptureQueriesContext(connection) as queries:
            answer = merchant.send("POST", "/payments", payment_body("second"))

        assert answer.status_code == 202
        statements = [query["sql"] for query in queries if query["sql"] not in ("BEGIN", "COMMIT")]
        assert len(statements) == REQUEST_STATEMENTS, statements


class TestDrain:
    def test_costs_the_same_for_a_full_batch_as_for_one_payment(self) -> None:
        assert cost_of_draining(BATCH) == cost_of_draining(1)

    def test_does_the_work_of_a_full_batch_in_a_few_statements(self) -> None:
        _, work = cost_of_draining(BATCH)
        assert work <= WORK_CEILING

    def test_event_by_event_would_cost_a_chain_per_payment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The naive twin: a listener that takes one event at a time.
        monkeypatch.setattr(_queue, "BATCH_SIZE", 1)
        _, work = cost_of_draining(10)
        assert work > 5 * WORK_CEILING
