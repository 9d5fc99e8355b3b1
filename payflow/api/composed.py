"""What one module alone cannot answer: a payment with its books, its trail, the balances."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.serializers import Story, record_resource
from audit.queries import list_story
from ledger.api.serializers import balance_resource
from ledger.models import JournalEntry
from ledger.queries import Balance, list_balances, list_entries
from payments.api.serializers import PaymentResource, payment_resource
from payments.queries import amounts_in_doubt, get_payment
from shared import clock
from shared.http.card_numbers import shown as shown_name
from shared.http.pagination import InvalidQuery
from shared.http.principal import principal_of
from shared.money import format_amount

_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


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
    available = serializers.CharField(help_text="Captured, not refunded, not paid out.")
    inDoubt = serializers.CharField(
        required=False, help_text="What processors do not answer for; now, so not with asOf."
    )
    settled = serializers.CharField(help_text="Paid out.")


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

    @extend_schema(
        parameters=[OpenApiParameter("asOf", OpenApiTypes.DATETIME)], responses=BalanceList
    )
    def get(self, request: Request) -> Response:
        """List them, one per currency, now or as of an instant."""
        merchant_id = principal_of(request).merchant_id
        if as_of := _as_of(request):
            balances = list_balances(merchant_id, as_of=as_of)
            return Response({"data": [balance_resource(balance) for balance in balances]})
        doubts = amounts_in_doubt(merchant_id=merchant_id)
        return Response({"data": _with_doubts(list_balances(merchant_id), doubts)})


def _as_of(request: Request) -> datetime | None:
    given = request.query_params
    if unknown := sorted(set(given) - {"asOf"}):
        raise InvalidQuery(f"Unknown query parameter: {shown_name(unknown[0])}.")
    texts = given.getlist("asOf")
    try:
        return _instant(*texts) if texts else None
    except (TypeError, ValueError):
        raise InvalidQuery("asOf is one instant in UTC, such as 2026-01-31T00:00:00Z.") from None


def _instant(text: str) -> datetime:
    if not _UTC.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _with_doubts(balances: list[Balance], doubts: dict[str, int]) -> list[dict[str, str]]:
    by_currency = {currency: Balance(currency) for currency in doubts}
    by_currency |= {balance.currency: balance for balance in balances}
    return [
        balance_resource(balance) | {"inDoubt": format_amount(doubts.get(currency, 0), currency)}
        for currency, balance in sorted(by_currency.items())
    ]


def _entry(entry: JournalEntry) -> dict[str, str]:
    return {
        "entryId": str(entry.pk),
        "type": entry.entry_type,
        "amount": format_amount(entry.amount_minor, entry.currency),
        "createdAt": clock.iso(entry.created_at),
    }
