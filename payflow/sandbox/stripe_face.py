"""The Stripe face: `/v1/…`, the part of Stripe's published API that a processor adapter needs."""

import base64
import binascii
import json
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from payflow.sandbox import wire
from payflow.sandbox.acquirer import STRIPE
from payflow.sandbox.callbacks import Message, Messenger
from payflow.sandbox.engine import Engine, InProgress, KeyReused, Mute, Result
from payflow.sandbox.faults import spoiled
from payflow.sandbox.order import Authorisation, Kind, Operation, Order, Status
from payflow.sandbox.server import Ending, Reply, Request
from payflow.sandbox.stripe_events import events_of
from payflow.sandbox.stripe_forms import Problem, Refused
from payflow.sandbox.stripe_objects import API_VERSION, client_secret, intent, refund
from payflow.sandbox.stripe_problems import problem_of
from payflow.sandbox.stripe_reading import Reading
from payflow.sandbox.stripe_requests import Requests

SIGNATURE = "Stripe-Signature"
WEBHOOK_SECRET_PREFIX = b"whsec_"
_NOT_BOOKED = b'{"error":{"message":"This answer is never seen whole.","type":"api_error"}}'
_VERBS = {"capture": Kind.CAPTURE, "cancel": Kind.VOID}


class StripeFace:
    """Reads Stripe's forms into orders, and renders Stripe's objects."""

    prefixes: Mapping[Kind, str] = {
        Kind.AUTHORISE: "pi_",
        Kind.CAPTURE: "cap_",
        Kind.VOID: "void_",
        Kind.REFUND: "re_",
    }
    keeps_first_answer = True
    keeps_retryable = True

    def __init__(
        self,
        engine: Engine,
        messenger: Messenger,
        secret: bytes,
        host: str,
        *,
        webhook_url: str,
    ) -> None:
        self._engine = engine
        self._messenger = messenger
        self._secret = secret
        self._host = host
        self._webhook_url = webhook_url
        self._requests = Requests(engine.book, secret)
        self._reading = Reading(engine, secret, host)

    # For the application -----------------------------------------------------------------------

    def handle(self, request: Request, parts: list[str]) -> Reply:
        """Answers a request below `/v1/`; `parts` is the rest of the path."""
        if self._engine.control.is_down(STRIPE):
            return Reply(HTTPStatus.SERVICE_UNAVAILABLE, ending=Ending.RESET)
        try:
            _check_key(request)
            return _with_headers(self._route(request, parts), request)
        except Refused as refused:
            problem = refused.problem
        except KeyReused:
            problem = Problem(
                HTTPStatus.BAD_REQUEST,
                "Keys for idempotent requests can only be used with the same parameters they were"
                " first used with.",
                type="idempotency_error",
            )
        except InProgress:
            message = "There is currently another in-progress request using this Idempotency-Key."
            problem = Problem(HTTPStatus.CONFLICT, message, "idempotency_error", "lock_timeout")
        except Mute:
            message = "An unexpected error occurred."
            problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, message, "api_error")
        return _with_headers(wire.reply(problem.status, problem.content), request)

    def return_query(self, authorisation: Authorisation) -> Mapping[str, str]:
        """What a payer brings back to the merchant."""
        is_approved = authorisation.status is Status.APPROVED
        return {
            "payment_intent": authorisation.reference,
            "payment_intent_client_secret": client_secret(authorisation, self._secret),
            "redirect_status": "succeeded" if is_approved else "failed",
        }

    # For the engine ----------------------------------------------------------------------------

    def render(
        self, operation: Operation, authorisation: Authorisation | None
    ) -> tuple[int, dict[str, Any]]:
        """The answer to a send, error or object, as it is kept under the key."""
        assert authorisation is not None, "intents are looked up before"  # noqa: S101
        is_capturing = operation.kind is Kind.CAPTURE and operation.status is Status.PENDING
        current = intent(authorisation, self._secret, self._host, is_capturing=is_capturing)
        if problem := problem_of(operation, authorisation, current):
            return problem.status, problem.content
        if operation.kind is Kind.REFUND:
            return HTTPStatus.OK, refund(operation)
        return HTTPStatus.OK, current

    def tell(
        self, operation: Operation, authorisation: Authorisation | None, *, was_pending: bool
    ) -> None:
        """Posts the webhook events that a decision causes, if somebody listens."""
        if not self._webhook_url or authorisation is None:
            return
        current = intent(authorisation, self._secret, self._host)
        for event in events_of(operation, authorisation, current, time.time()):
            message = Message(self._webhook_url, json.dumps(event).encode(), SIGNATURE)
            self._messenger.post(message, WEBHOOK_SECRET_PREFIX + self._secret)

    # Steps -------------------------------------------------------------------------------------

    def _route(self, request: Request, parts: list[str]) -> Reply:
        is_post = request.method == "POST"
        match parts:
            case ["payment_intents"] if is_post:
                return self._send(self._requests.create(request))
            case ["payment_intents", name, verb] if is_post and verb in _VERBS:
                return self._follow_up(self._requests.follow_up(request, name, _VERBS[verb]))
            case ["refunds"] if is_post:
                return self._send(self._requests.refund(request))
            case ["payment_intents", *rest] if request.method == "GET" and len(rest) < 2:  # noqa: PLR2004
                return self._reading.intents(request, rest)
            case ["refunds", *rest] if request.method == "GET" and len(rest) < 2:  # noqa: PLR2004
                return self._reading.refunds(request, rest)
        message = f"Unrecognized request URL ({request.method}: {request.path[:200]!r})."
        raise Refused(Problem(HTTPStatus.NOT_FOUND, message))

    def _follow_up(self, order: Order) -> Reply:
        hold = self._engine.book.authorisation(STRIPE, order.authorisation)
        # The payer who has not decided yet is not waited for any more.
        if order.cancels_unheld and hold and hold.status is Status.PENDING and hold.expires_at:
            self._engine.settle(STRIPE, hold.key, Status.DECLINED, "abandoned")
        return self._send(order)

    def _send(self, order: Order) -> Reply:
        result = self._engine.perform(order)
        answered = _answer(result)
        return spoiled(answered, result.doubt) if result.doubt is not None else answered


def _answer(result: Result) -> Reply:
    if not result.answer:
        return Reply(HTTPStatus.OK, _NOT_BOOKED)
    body = result.answer
    if result.is_misquoted:
        answer = json.loads(body)
        wrong = {
            name: answer[name] + 1
            for name in ("amount", "amount_received", "amount_capturable")
            if answer.get(name)
        }
        body = json.dumps(answer | wrong)
    headers = (("Idempotent-Replayed", "true"),) if result.is_replay else ()
    return Reply(result.http_status, body.encode(), headers)


def _with_headers(reply: Reply, request: Request) -> Reply:
    headers = [*reply.headers, ("Request-Id", f"req_{os.urandom(7).hex()}")]
    headers.append(("Stripe-Version", API_VERSION))
    key = request.headers.get("idempotency-key")
    if key and key.isascii() and key.isprintable():
        headers.append(("Idempotency-Key", key))
    return Reply(reply.status, reply.body, tuple(headers), reply.content_type, reply.ending)


def _check_key(request: Request) -> None:
    given = request.headers.get("authorization", "")
    scheme, _, value = given.partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode("latin-1").partition(":")[0]
        except (binascii.Error, ValueError):
            value = ""
    if not value.startswith("sk_test_"):
        message = "Invalid API Key provided." if value else "You did not provide an API key."
        raise Refused(Problem(HTTPStatus.UNAUTHORIZED, message))
