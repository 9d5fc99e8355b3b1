"""Captures, voids and refunds: one request asks for a call to a processor and waits for it."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from payments import conf
from payments.api.serializers import (
    CaptureRequest,
    DryRun,
    PaymentResource,
    RefundRequest,
    RefundResource,
    VoidRequest,
    dry_run_resource,
    payment_resource,
    refund_resource,
)
from payments.domain.processor import OperationKind
from payments.models import Operation, Payment, Verdict
from payments.queries import get_operation, get_payment
from payments.use_cases.capture_payment import capture_payment
from payments.use_cases.place_operation import Demand
from payments.use_cases.preview_operation import preview_operation
from payments.use_cases.refund_payment import refund_payment
from payments.use_cases.void_payment import void_payment
from shared import clock, correlation
from shared.events.payments import PaymentEvent
from shared.http.fields import StrictSerializer, read_amount
from shared.http.idempotency import REPLAYED, Accepted, Answer, answer_once
from shared.http.principal import principal_of
from shared.http.problems import CONTENT_TYPE, problem
from shared.http.waiting import preferred_wait_seconds, wait_for

PREFER = OpenApiParameter("Prefer", str, "header", description="`wait=N`, 1–30 seconds")
Postings = Callable[[PaymentEvent], list[dict[str, str]]]

_REFUSALS: dict[str, Callable[[str], dict[str, Any]]] = {
    Verdict.DECLINED: lambda reason: problem(
        422, "processor_declined", "The processor declined.", reason=reason
    ),
    Verdict.FAILED: lambda reason: problem(
        422,
        "processor_unreachable",
        "The processor could not be reached; nothing moved.",
        reason=reason,
    ),
}


def undecided(resource: type[Serializer[Any]]) -> OpenApiResponse:
    """For documents: the 202 of a resource."""
    return OpenApiResponse(
        resource, "Not decided yet: how it stands now. Never stored; the same key looks again."
    )


def _or_dry_run(resource: type[Serializer[Any]]) -> PolymorphicProxySerializer:
    return PolymorphicProxySerializer(
        component_name=f"{resource.__name__}OrDryRun",
        serializers=[resource, DryRun],
        resource_type_field_name=None,
    )


class OperationView(APIView):
    """What the three requests have in common; `postings_of` comes from who knows the ledger."""

    body: ClassVar[type[StrictSerializer]]
    kind: ClassVar[OperationKind]
    postings_of: Postings = staticmethod(lambda event: [])

    def post(self, request: Request, payment_id: UUID) -> Response:
        """Reserve, have the processor called, wait for what becomes of it."""
        validated = self.body.validated(request.data)
        merchant_id = principal_of(request).merchant_id
        payment = get_payment(merchant_id=merchant_id, payment_id=payment_id)
        correlation.adopt(str(payment.correlation_id))
        amount_minor = read_amount(validated.get("amount"), payment.currency)
        if validated["dryRun"]:
            return self._preview(payment, amount_minor, validated)

        def ask(key: str) -> Accepted:
            demand = Demand(payment.merchant_id, payment.pk, key, validated.get("metadata", {}))
            return Accepted(self.ask(demand, amount_minor, validated).pk)

        def concluded(operation_id: UUID) -> Answer:
            operation = wait_for(
                lambda: get_operation(merchant_id=merchant_id, operation_id=operation_id),
                lambda seen: not seen.is_open,
                preferred_wait_seconds(request, default=conf.IMPLIED_WAIT_SECONDS),
                merchant_id=merchant_id,
            )
            return self._answer(operation)

        return answer_once(request, validated, ask, finish=concluded)

    def ask(self, demand: Demand, amount_minor: int | None, validated: dict[str, Any]) -> Operation:
        """The one call of the use case."""
        raise NotImplementedError

    def shown(self, operation: Operation) -> dict[str, Any]:
        """What was asked for, as the API shows it."""
        return payment_resource(operation.payment)

    def _answer(self, operation: Operation) -> Answer:
        headers = {"X-Correlation-ID": str(operation.correlation_id)}
        if refusal := _REFUSALS.get(operation.verdict):
            kind = {"Content-Type": CONTENT_TYPE}
            return Answer(422, refusal(operation.reason), headers | kind)
        if operation.is_open:
            return Answer(202, self.shown(operation), headers, is_decided=False)
        return Answer(200, self.shown(operation), headers)

    def _preview(
        self, payment: Payment, amount_minor: int | None, validated: dict[str, Any]
    ) -> Response:
        preview = preview_operation(
            merchant_id=payment.merchant_id,
            payment_id=payment.pk,
            kind=self.kind,
            amount_minor=amount_minor,
            is_final=validated.get("finalCapture", True),
            now=clock.now(),
        )
        return Response(dry_run_resource(preview, self.postings_of(preview.event)))


class CapturePayment(OperationView):
    """Taking held funds."""

    body, kind = CaptureRequest, OperationKind.CAPTURE

    @extend_schema(
        request=CaptureRequest,
        responses={200: _or_dry_run(PaymentResource), 202: undecided(PaymentResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request, payment_id: UUID) -> Response:
        """Capture all or a part; a final capture releases the rest."""
        return super().post(request, payment_id)

    def ask(self, demand: Demand, amount_minor: int | None, validated: dict[str, Any]) -> Operation:
        """Capture."""
        return capture_payment(
            demand=demand,
            amount_minor=amount_minor,
            is_final=validated["finalCapture"],
            now=clock.now(),
        )


class VoidPayment(OperationView):
    """Releasing held funds."""

    body, kind = VoidRequest, OperationKind.VOID

    @extend_schema(
        request=VoidRequest,
        responses={200: _or_dry_run(PaymentResource), 202: undecided(PaymentResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request, payment_id: UUID) -> Response:
        """Release what is held."""
        return super().post(request, payment_id)

    def ask(
        self,
        demand: Demand,
        amount_minor: int | None,  # a void has none
        validated: dict[str, Any],
    ) -> Operation:
        """Void."""
        return void_payment(demand=demand, now=clock.now())


class RefundPayment(OperationView):
    """Giving captured money back."""

    body, kind = RefundRequest, OperationKind.REFUND

    @extend_schema(
        request=RefundRequest,
        responses={200: _or_dry_run(RefundResource), 202: undecided(RefundResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request, payment_id: UUID) -> Response:
        """Refund all or a part."""
        return super().post(request, payment_id)

    def ask(self, demand: Demand, amount_minor: int | None, validated: dict[str, Any]) -> Operation:
        """Refund."""
        return refund_payment(
            demand=demand,
            amount_minor=amount_minor,
            reason=validated["reason"],
            now=clock.now(),
        )

    def shown(self, operation: Operation) -> dict[str, Any]:
        """The refund."""
        return refund_resource(operation)
