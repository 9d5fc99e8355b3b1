"""Payments and operations in the admin."""

from uuid import UUID

import pytest

from payments.models import Operation, Payment
from shared import clock
from shared.event_bus import drain
from shared.models import Event
from shared.testing.api import payment_body, registered_merchant
from shared.testing.operators import (
    OperatorClient,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def payment() -> Payment:
    answer = registered_merchant().post(
        "/payments", payment_body(amount="1234.5", currency="KWD", description="<i>shoes</i>")
    )
    drain()
    return Payment.objects.get(pk=UUID(answer.json()["paymentId"]))


class TestPaymentAdmin:
    def test_shows_amounts_with_the_currencys_decimals(
        self, operator: OperatorClient, payment: Payment
    ) -> None:
        assert "1234.500 KWD" in text(operator.list(Payment))
        page = operator.page(payment).content.decode()
        assert "1234.500 KWD" in page
        assert "&lt;i&gt;shoes&lt;/i&gt;" in page

    def test_finds_by_id_merchant_and_key(self, operator: OperatorClient, payment: Payment) -> None:
        for term in (str(payment.pk), "acme", payment.idempotency_key, str(payment.correlation_id)):
            assert operator.list(Payment, q=term).context["cl"].result_count == 1
        assert operator.list(Payment, q="nobody").context["cl"].result_count == 0

    def test_filters_by_status(self, operator: OperatorClient, payment: Payment) -> None:
        found = operator.list(Payment, status__exact=payment.status)
        assert found.context["cl"].result_count == 1
        assert operator.list(Payment, status__exact="FAILED").context["cl"].result_count == 0

    def test_leads_to_the_story(self, operator: OperatorClient, payment: Payment) -> None:
        page = text(operator.page(payment))
        assert f"/admin/audit/record/?q={payment.correlation_id}" in page

    def test_withstands_and_refuses(self, operator: OperatorClient, payment: Payment) -> None:
        withstands_hostile_terms(operator, Payment)
        refuses_changes(operator, payment)


class TestOperationAdmin:
    def test_retries_a_parked_call(self, operator: OperatorClient, payment: Payment) -> None:
        operation = payment.operations.get()
        Operation.objects.update(parked_at=clock.now(), due_at=None, failures=5)
        assert operator.list(Operation, state="parked").context["cl"].result_count == 1
        assert "Retry: 1 operation." in operator.act("retry", operation, reason="bank is back")
        operation.refresh_from_db()
        assert not operation.is_parked
        assert operation.due_at is not None
        told = Event.objects.get(event_type="Operator.Action.Taken")
        assert told.payload["action"] == "payments.operation.retry"

    def test_does_not_retry_what_is_done(self, operator: OperatorClient, payment: Payment) -> None:
        operation = payment.operations.get()
        assert "Only parked work" in operator.act("retry", operation)
        assert "Only parked work" in operator.act("skip", operation)

    def test_asks_for_a_reason(self, operator: OperatorClient, payment: Payment) -> None:
        Operation.objects.update(parked_at=clock.now(), due_at=None)
        operator.act("skip", payment.operations.get(), reason=" ")
        assert payment.operations.get().is_parked

    def test_withstands_and_refuses(self, operator: OperatorClient, payment: Payment) -> None:
        withstands_hostile_terms(operator, Operation)
        refuses_changes(operator, payment.operations.get())
