"""What one module alone cannot answer: a payment with its books, its trail, the balances."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.serializers import Story, record_resource
from audit.queries import list_story
from ledger.api.serializers import balance_resource
from ledger.models import JournalEntry
from ledger.queries import list_balances, list_entries
from payments.api.serializers import PaymentResource, payment_resource
from payments.queries import get_payment
from shared import clock
from shared.http.principal import principal_of
from shared.money import format_amount


class EntryOfPayment(serializers.Serializer[Any]):
    """A journal entry as a payment shows it."""

    entryId = serializers.UUIDField()
    type = serializers.CharField()
    amount = serializers.CharField()
    createdAt = serializers.DateTimeField()


class PaymentWithLedger(PaymentResource):
    """A payment with what the ledger says about it."""

    ledgerBalance = serializers.CharField(help_text="Captured minus refunded.")
    ledgerEntries = EntryOfPayment(many=True)


class BalanceResource(serializers.Serializer[Any]):
    """A merchant's balance in one currency."""

    currency = serializers.CharField()
    pending = serializers.CharField(help_text="Open holds.")


class BalanceList(serializers.Serializer[Any]):
    """A merchant's balances."""

    data = BalanceResource(many=True)  # type: ignore[assignment]


class PaymentDetail(APIView):
    """A payment with its journal entries."""

    @extend_schema(responses=PaymentWithLedger)
    def get(self, request: Request, payment_id: UUID) -> Response:
        """Show it."""
        merchant_id = principal_of(request).merchant_id
        payment = get_payment(merchant_id=merchant_id, payment_id=payment_id)
        entries = list_entries(merchant_id=merchant_id, correlation_id=payment.correlation_id)
        balance_minor = payment.captured_minor - payment.refunded_minor
        resource = payment_resource(payment) | {
            "ledgerBalance": format_amount(balance_minor, payment.currency),
            "ledgerEntries": [_entry(entry) for entry in entries],
        }
        return Response(resource, headers={"X-Correlation-ID": str(payment.correlation_id)})


class PaymentEvents(APIView):
    """A payment's trail."""

    @extend_schema(responses=Story)
    def get(self, request: Request, payment_id: UUID) -> Response:
        """List its events, oldest first."""
        merchant_id = principal_of(request).merchant_id
        payment = get_payment(merchant_id=merchant_id, payment_id=payment_id)
        story = list_story(merchant_id=merchant_id, correlation_id=payment.correlation_id)
        return Response(
            {"data": [record_resource(record) for record in story]},
            headers={"X-Correlation-ID": str(payment.correlation_id)},
        )


class Balances(APIView):
    """The merchant's balances."""

    @extend_schema(responses=BalanceList)
    def get(self, request: Request) -> Response:
        """List them, one per currency."""
        balances = list_balances(principal_of(request).merchant_id)
        return Response({"data": [balance_resource(balance) for balance in balances]})


def _entry(entry: JournalEntry) -> dict[str, str]:
    return {
        "entryId": str(entry.pk),
        "type": entry.entry_type,
        "amount": format_amount(entry.amount_minor, entry.currency),
        "createdAt": clock.iso(entry.created_at),
    }
