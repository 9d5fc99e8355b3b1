"""What the module's endpoints take and give."""

from typing import Any

from rest_framework import serializers

from payments.domain.lifecycle import PaymentStatus
from payments.models import Payment
from payments.use_cases.initiate_payment import Terms
from shared import clock
from shared.http.fields import (
    CanonicalUUID,
    Choice,
    IdempotencyKey,
    Metadata,
    StrictSerializer,
    Text,
    WithAmount,
)
from shared.http.principal import Principal
from shared.money import format_amount


class PaymentMethodRequest(StrictSerializer):
    """How the payer pays."""

    type = Choice(choices=["CARD", "WALLET"])
    token = Text(min_length=1, max_length=100, help_text="Sandbox: tok_test, tok_declined, …")


class PaymentRequest(WithAmount):
    """Body of `POST /payments`."""

    payeeAccountId = CanonicalUUID(help_text="The merchant's own reference for the payee.")
    idempotencyKey = IdempotencyKey(required=False)
    paymentMethod = PaymentMethodRequest()
    description = Text(required=False, max_length=500, allow_blank=True, default="")
    metadata = Metadata(required=False, default=dict)


class PaymentMethodResource(serializers.Serializer[Any]):
    """How the payer pays."""

    type = serializers.CharField()
    token = serializers.CharField()


class PaymentResource(serializers.Serializer[Any]):
    """A payment."""

    paymentId = serializers.UUIDField()
    correlationId = serializers.UUIDField()
    merchantId = serializers.UUIDField()
    payeeAccountId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[status.value for status in PaymentStatus])
    amount = serializers.CharField()
    currency = serializers.CharField()
    authorisedAmount = serializers.CharField()
    capturedAmount = serializers.CharField()
    refundedAmount = serializers.CharField()
    inDoubt = serializers.BooleanField()
    declineReason = serializers.CharField(required=False)
    failureReason = serializers.CharField(required=False)
    paymentMethod = PaymentMethodResource()
    description = serializers.CharField()
    metadata = serializers.DictField(child=serializers.CharField())
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    authorisedAt = serializers.DateTimeField(required=False)


class PaymentList(serializers.Serializer[Any]):
    """A page of payments, newest first."""

    data = PaymentResource(many=True)  # type: ignore[assignment]
    nextCursor = serializers.CharField(allow_null=True)


def terms_of(validated: dict[str, Any], principal: Principal, key: str) -> Terms:
    """What the merchant asks for, from a validated body."""
    return Terms(
        merchant_id=principal.merchant_id,
        merchant_name=principal.name,
        merchant_email=principal.email,
        payee_account_id=validated["payeeAccountId"],
        idempotency_key=key,
        amount_minor=validated["amount_minor"],
        currency=validated["currency"],
        method_type=validated["paymentMethod"]["type"],
        method_token=validated["paymentMethod"]["token"],
        description=validated["description"],
        metadata=validated["metadata"],
    )


def payment_resource(payment: Payment) -> dict[str, Any]:
    """A payment as the API shows it."""
    resource = {
        "paymentId": str(payment.pk),
        "correlationId": str(payment.correlation_id),
        "merchantId": str(payment.merchant_id),
        "payeeAccountId": str(payment.payee_account_id),
        "status": payment.status,
        "amount": format_amount(payment.amount_minor, payment.currency),
        "currency": payment.currency,
        "authorisedAmount": format_amount(payment.authorised_minor, payment.currency),
        "capturedAmount": format_amount(payment.captured_minor, payment.currency),
        "refundedAmount": format_amount(payment.refunded_minor, payment.currency),
        "inDoubt": payment.in_doubt,
        "declineReason": payment.decline_reason or None,
        "failureReason": payment.failure_reason or None,
        "paymentMethod": {"type": payment.method_type, "token": payment.method_token},
        "description": payment.description,
        "metadata": payment.metadata,
        "createdAt": clock.iso(payment.created_at),
        "updatedAt": clock.iso(payment.updated_at),
        "authorisedAt": clock.iso(payment.authorised_at) if payment.authorised_at else None,
    }
    return {name: value for name, value in resource.items() if value is not None}
