"""One view per operation: parse, one call, respond."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from payments import conf
from payments.api.operations import PREFER, undecided
from payments.api.serializers import (
    CancelRequest,
    History,
    PaymentList,
    PaymentRequest,
    PaymentResource,
    RefundList,
    RefundResource,
    payment_resource,
    refund_resource,
    status_change_resource,
    terms_of,
)
from payments.domain.lifecycle import PaymentStatus
from payments.models import Payment
from payments.models.payment import PaymentNotVoidable
from payments.queries import (
    get_payment,
    get_refund,
    list_history,
    list_payments,
    list_refunds,
)
from payments.use_cases.cancel_payment_by_key import cancel_payment_by_key
from payments.use_cases.hear_processor import hear_processor
from payments.use_cases.initiate_payment import initiate_payment
from shared import clock, correlation
from shared.http.idempotency import REPLAYED, Accepted, Answer, answer_once
from shared.http.pagination import InvalidQuery, Page
from shared.http.principal import Signed, principal_of
from shared.http.problems import CONTENT_TYPE, problem
from shared.http.waiting import preferred_wait_seconds, wait_for

# `/payments/authorize` is the same operation: a repeat at either address is a repeat.
_PATH = "/api/v1/payments"


def _take_payment(request: Request, *, implied_wait_seconds: int) -> Response:
    validated = PaymentRequest.validated(request.data)
    principal = principal_of(request)
    wait_seconds = preferred_wait_seconds(request, default=implied_wait_seconds)

    def initiate(key: str) -> Accepted:
        terms = terms_of(validated, principal, key)
        payment = initiate_payment(terms=terms, now=clock.now())
        correlation.adopt(str(payment.correlation_id))
        return Accepted(payment.pk, None if wait_seconds else _answer(payment))

    def decided(payment_id: UUID) -> Answer:
        payment = wait_for(
            lambda: get_payment(merchant_id=principal.merchant_id, payment_id=payment_id),
            lambda seen: seen.is_decided or seen.awaits_review or seen.awaits_payer,
            wait_seconds,
            merchant_id=principal.merchant_id,
        )
        return _answer(payment)

    return answer_once(request, validated, initiate, finish=decided, path=_PATH)


def _answer(payment: Payment) -> Answer:
    return Answer(
        201 if payment.is_decided else 202,
        payment_resource(payment),
        _headers(payment),
        is_decided=payment.is_decided,
    )


def _cancellation(payment: Payment) -> Answer:
    if not payment.is_at_rest:
        return Answer(202, payment_resource(payment), _headers(payment), is_decided=False)
    if payment.came_to_nothing:
        return Answer(200, payment_resource(payment), _headers(payment))
    refusal = PaymentNotVoidable()
    document = problem(refusal.status, refusal.code, refusal.detail)
    return Answer(refusal.status, document, _headers(payment) | {"Content-Type": CONTENT_TYPE})


def _headers(payment: Payment) -> dict[str, str]:
    return {
        "Location": f"/api/v1/payments/{payment.pk}",
        "X-Correlation-ID": str(payment.correlation_id),
    }


class Payments(APIView):
    """Taking payments, and listing them."""

    must_be_signed: ClassVar = {"POST": Signed.BODY}

    @extend_schema(
        request=PaymentRequest,
        responses={201: PaymentResource, 202: undecided(PaymentResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request) -> Response:
        """Take a payment: 202 PENDING at once, or its decision when asked to wait."""
        return _take_payment(request, implied_wait_seconds=0)

    @extend_schema(
        operation_id="payments_list",
        responses=PaymentList,
        parameters=[
            OpenApiParameter("status", str, enum=[status.value for status in PaymentStatus]),
            OpenApiParameter("createdFrom", str),
            OpenApiParameter("createdTo", str),
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
        ],
    )
    def get(self, request: Request) -> Response:
        """List the merchant's payments, newest first."""
        page = Page.of(request, also=["status"])
        payments = list_payments(
            merchant_id=principal_of(request).merchant_id,
            status=_status(request.query_params.get("status")),
        )
        return Response(page.of_rows(payments, key=("created_at", "id"), shown=payment_resource))


class AuthorisePayment(APIView):
    """The same as `POST /payments` with an implied `Prefer: wait=10`."""

    must_be_signed: ClassVar = {"POST": Signed.BODY}

    @extend_schema(
        request=PaymentRequest,
        responses={201: PaymentResource, 202: undecided(PaymentResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request) -> Response:
        """Take a payment and wait for its decision."""
        return _take_payment(request, implied_wait_seconds=conf.IMPLIED_WAIT_SECONDS)


class CancelByKey(APIView):
    """Cancelling a payment whose answer never came."""

    @extend_schema(
        request=CancelRequest,
        responses={200: PaymentResource, 202: undecided(PaymentResource)},
        parameters=[PREFER, REPLAYED],
    )
    def post(self, request: Request) -> Response:
        """Cancel what was asked for under a key, or burn the key."""
        validated = CancelRequest.validated(request.data)
        merchant_id = principal_of(request).merchant_id

        def cancel(key: str) -> Accepted:
            payment = cancel_payment_by_key(
                merchant_id=merchant_id,
                cancel_key=validated["cancelKey"],
                idempotency_key=key,
                now=clock.now(),
            )
            if payment is None:
                return Accepted(None, Answer(200, {"cancelled": True}))
            correlation.adopt(str(payment.correlation_id))
            return Accepted(payment.pk)

        def cancelled(payment_id: UUID) -> Answer:
            payment = wait_for(
                lambda: get_payment(merchant_id=merchant_id, payment_id=payment_id),
                lambda seen: seen.is_at_rest,
                preferred_wait_seconds(request, default=conf.IMPLIED_WAIT_SECONDS),
                merchant_id=merchant_id,
            )
            correlation.adopt(str(payment.correlation_id))
            return _cancellation(payment)

        return answer_once(request, validated, cancel, finish=cancelled)


class PaymentHistory(APIView):
    """A payment's steps."""

    @extend_schema(responses=History)
    def get(self, request: Request, payment_id: UUID) -> Response:
        """List them, oldest first."""
        merchant_id = principal_of(request).merchant_id
        history = list_history(merchant_id=merchant_id, payment_id=payment_id)
        return Response({"data": [status_change_resource(change) for change in history]})


class RefundsOfPayment(APIView):
    """A payment's refunds."""

    @extend_schema(
        responses=RefundList,
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
    )
    def get(self, request: Request, payment_id: UUID) -> Response:
        """List them, newest first."""
        page = Page.of(request)
        merchant_id = principal_of(request).merchant_id
        refunds = list_refunds(merchant_id=merchant_id, payment_id=payment_id)
        return Response(page.of_rows(refunds, key=("created_at", "id"), shown=refund_resource))


class Refund(APIView):
    """A refund."""

    @extend_schema(responses=RefundResource)
    def get(self, request: Request, refund_id: UUID) -> Response:
        """Show it."""
        merchant_id = principal_of(request).merchant_id
        refund = get_refund(merchant_id=merchant_id, refund_id=refund_id)
        headers = {"X-Correlation-ID": str(refund.correlation_id)}
        return Response(refund_resource(refund), headers=headers)


class ProcessorCallback(APIView):
    """What processors tell by themselves, each signed in its own way."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: OpenApiTypes.OBJECT}, auth=[])
    def post(self, request: Request, processor: str) -> Response:
        """Take a callback."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        hear_processor(processor=processor, headers=headers, body=request._request.body)
        return Response({"received": True})


def _status(text: str | None) -> str | None:
    if text is not None and text not in PaymentStatus.__members__:
        raise InvalidQuery("status is one of " + ", ".join(PaymentStatus) + ".")
    return text
