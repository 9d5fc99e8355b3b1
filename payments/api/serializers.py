"""What the module's endpoints take and give."""

from datetime import datetime, timedelta
from typing import Any

from rest_framework import serializers

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment, StatusChange, Verdict
from payments.models.route import METHODS
from payments.use_cases.initiate_payment import Terms
from payments.use_cases.preview_operation import Preview
from shared import clock
from shared.http.fields import (
    Amount,
    CanonicalUUID,
    Choice,
    Flag,
    IdempotencyKey,
    Instant,
    Line,
    Metadata,
    StrictSerializer,
    Text,
    WebAddress,
    WithAmount,
)
from shared.http.principal import Principal
from shared.money import format_amount


class PaymentMethodRequest(StrictSerializer):
    """How the payer pays: CARD and WALLET by token, NETBANKING by bank."""

    type = Choice(choices=METHODS)
    token = Text(
        required=False, min_length=1, max_length=100, help_text="Sandbox: tok_test, tok_declined, …"
    )
    bankCode = Line(required=False, min_length=1, max_length=40, help_text="For NETBANKING.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take what the method needs and nothing else."""
        needed = "bankCode" if attrs["type"] == "NETBANKING" else "token"
        for name in ("token", "bankCode"):
            if (name in attrs) != (name == needed):
                verb = "needs" if name == needed else "takes no"
                raise serializers.ValidationError({name: [f"{attrs['type']} {verb} {name}."]})
        return attrs


class PaymentRequest(WithAmount):
    """Body of `POST /payments`."""

    payeeAccountId = CanonicalUUID(help_text="The merchant's own reference for the payee.")
    idempotencyKey = IdempotencyKey(required=False)
    paymentMethod = PaymentMethodRequest()
    capture = Flag(required=False, default=False, help_text="Capture as soon as authorised.")
    captureBefore = Instant(required=False, help_text="When the hold ends; at most 7 days ahead.")
    returnUrl = WebAddress(required=False, max_length=2000, help_text="Where the payer comes back.")
    description = Text(required=False, max_length=500, allow_blank=True, default="")
    metadata = Metadata(required=False, default=dict)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Know where to send the payer back to."""
        if attrs["paymentMethod"]["type"] == "NETBANKING" and "returnUrl" not in attrs:
            raise serializers.ValidationError({"returnUrl": ["NETBANKING needs returnUrl."]})
        return super().validate(attrs)


class VoidRequest(StrictSerializer):
    """Body of `POST /payments/{id}/void`."""

    idempotencyKey = IdempotencyKey(required=False)
    dryRun = Flag(required=False, default=False, help_text="Say what would happen; do nothing.")


class CaptureRequest(VoidRequest):
    """Body of `POST /payments/{id}/capture`."""

    amount = Amount(required=False, help_text="All that is held by default.")
    finalCapture = Flag(required=False, default=True, help_text="Release the rest with it.")
    metadata = Metadata(required=False, default=dict)


class RefundRequest(VoidRequest):
    """Body of `POST /payments/{id}/refund`."""

    amount = Amount(required=False, help_text="All that is left to refund by default.")
    reason = Text(required=False, max_length=500, allow_blank=True, default="")
    metadata = Metadata(required=False, default=dict)


class CancelRequest(StrictSerializer):
    """Body of `POST /payments/cancel-by-key`."""

    idempotencyKey = IdempotencyKey(required=False)
    cancelKey = IdempotencyKey(help_text="The key of the `POST /payments` without an answer.")


class WalletResource(serializers.Serializer[Any]):
    """A payer's account with a wallet provider."""

    provider = serializers.CharField()
    walletId = serializers.CharField()


class PaymentMethodResource(serializers.Serializer[Any]):
    """How the payer pays."""

    type = serializers.CharField()
    token = serializers.CharField(required=False)
    brand = serializers.CharField(required=False)
    last4 = serializers.CharField(required=False)
    wallet = WalletResource(required=False)
    bankCode = serializers.CharField(required=False)


class NextActionResource(serializers.Serializer[Any]):
    """Where the payer has to go."""

    type = serializers.CharField(help_text="REDIRECT")
    url = serializers.CharField()
    expiresAt = serializers.DateTimeField()


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
    inDoubt = serializers.BooleanField(help_text="The outcome of one of its calls is unknown.")
    declineReason = serializers.CharField(required=False)
    failureReason = serializers.CharField(required=False)
    paymentMethod = PaymentMethodResource()
    nextAction = NextActionResource(required=False)
    description = serializers.CharField()
    metadata = serializers.DictField(child=serializers.CharField())
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    authorisedAt = serializers.DateTimeField(required=False)
    capturedAt = serializers.DateTimeField(required=False)
    captureBefore = serializers.DateTimeField(required=False)


class RefundResource(serializers.Serializer[Any]):
    """A refund; status and amount are its own."""

    refundId = serializers.UUIDField()
    paymentId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["PENDING", "REFUNDED", "FAILED"])
    refundedAmount = serializers.CharField()
    currency = serializers.CharField()
    reason = serializers.CharField(required=False)
    metadata = serializers.DictField(child=serializers.CharField(), required=False)
    failureReason = serializers.CharField(required=False)
    inDoubt = serializers.BooleanField(required=False, help_text="Its outcome is unknown.")
    createdAt = serializers.DateTimeField()


class RefundList(serializers.Serializer[Any]):
    """A page of refunds, newest first."""

    data = RefundResource(many=True)  # type: ignore[assignment]
    nextCursor = serializers.CharField(allow_null=True)


class StatusChangeResource(serializers.Serializer[Any]):
    """A step of a payment."""

    statusFrom = serializers.CharField(allow_null=True)
    statusTo = serializers.CharField()
    at = serializers.DateTimeField()
    reason = serializers.CharField(required=False)


class History(serializers.Serializer[Any]):
    """A payment's steps, oldest first."""

    data = StatusChangeResource(many=True)  # type: ignore[assignment]


class DryRun(serializers.Serializer[Any]):
    """What an operation would do."""

    dryRun = serializers.BooleanField()
    status = serializers.CharField()
    capturedAmount = serializers.CharField()
    refundedAmount = serializers.CharField()
    postings = serializers.ListField(child=serializers.DictField())


class PaymentList(serializers.Serializer[Any]):
    """A page of payments, newest first."""

    data = PaymentResource(many=True)  # type: ignore[assignment]
    nextCursor = serializers.CharField(allow_null=True)


def terms_of(validated: dict[str, Any], principal: Principal, key: str) -> Terms:
    """What the merchant asks for, from a validated body."""
    # Not in the serializer: a repeat of a request is answered as the first time, at any time.
    _check_end_of_hold(validated.get("captureBefore"))
    method = validated["paymentMethod"]
    bank = {"bankCode": method["bankCode"]} if "bankCode" in method else {}
    return Terms(
        merchant_id=principal.merchant_id,
        merchant_name=principal.name,
        merchant_email=principal.email,
        payee_account_id=validated["payeeAccountId"],
        idempotency_key=key,
        amount_minor=validated["amount_minor"],
        currency=validated["currency"],
        method_type=method["type"],
        method_token=method.get("token", ""),
        method_details=bank,
        captures_at_once=validated["capture"],
        capture_before=validated.get("captureBefore"),
        return_url=validated.get("returnUrl", ""),
        description=validated["description"],
        metadata=validated["metadata"],
    )


def _check_end_of_hold(instant: datetime | None) -> None:
    if instant and not timedelta() < instant - clock.now() <= timedelta(days=conf.HOLD_DAYS):
        message = "Send an instant within the next 7 days."
        raise serializers.ValidationError({"captureBefore": [message]})


def payment_resource(payment: Payment) -> dict[str, Any]:
    """A payment as the API shows it."""
    return _present(
        {
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
            "paymentMethod": _present(
                {"type": payment.method_type, "token": payment.method_token or None}
                | payment.method_details
            ),
            "nextAction": _next_action(payment),
            "description": payment.description,
            "metadata": payment.metadata,
            "createdAt": clock.iso(payment.created_at),
            "updatedAt": clock.iso(payment.updated_at),
            "authorisedAt": _instant(payment.authorised_at),
            "capturedAt": _instant(payment.captured_at),
            "captureBefore": _instant(payment.capture_before),
        }
    )


def refund_resource(refund: Operation) -> dict[str, Any]:
    """A refund as the API shows it."""
    return _present(
        {
            "refundId": str(refund.pk),
            "paymentId": str(refund.payment_id),
            "status": _REFUND_STATUS.get(refund.verdict, "PENDING"),
            "refundedAmount": format_amount(refund.amount_minor, refund.currency),
            "currency": refund.currency,
            "reason": refund.merchant_reason or None,
            "metadata": refund.metadata or None,
            "failureReason": refund.reason if refund.verdict in _UNDONE else None,
            "inDoubt": True if refund.is_in_doubt else None,
            "createdAt": clock.iso(refund.created_at),
        }
    )


def status_change_resource(change: StatusChange) -> dict[str, Any]:
    """A step of a payment as the API shows it."""
    resource = {
        "statusFrom": change.status_from or None,
        "statusTo": change.status_to,
        "at": clock.iso(change.at),
    }
    return resource | ({"reason": change.reason} if change.reason else {})


def dry_run_resource(preview: Preview, postings: list[dict[str, str]]) -> dict[str, Any]:
    """What an operation would do."""
    payment = preview.payment
    return {
        "dryRun": True,
        "status": payment.status,
        "capturedAmount": format_amount(payment.captured_minor, payment.currency),
        "refundedAmount": format_amount(payment.refunded_minor, payment.currency),
        "postings": postings,
    }


_UNDONE = (Verdict.DECLINED, Verdict.FAILED)
_REFUND_STATUS = {"APPROVED": "REFUNDED", "DECLINED": "FAILED", "FAILED": "FAILED"}


def _next_action(payment: Payment) -> dict[str, str | None] | None:
    if not payment.awaits_payer:
        return None
    expires_at = _instant(payment.redirect_expires_at)
    return {"type": "REDIRECT", "url": payment.redirect_url, "expiresAt": expires_at}


def _instant(instant: datetime | None) -> str | None:
    return clock.iso(instant) if instant else None


def _present(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if value is not None}
