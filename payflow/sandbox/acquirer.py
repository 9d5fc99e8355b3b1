"""The acquirer's face: JSON below `/acquirers/{acquirer}/`."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from payflow.sandbox import wire
from payflow.sandbox.callbacks import Message, Messenger, is_loopback, is_web_address
from payflow.sandbox.engine import Engine, InProgress, KeyReused, Mute, Result
from payflow.sandbox.faults import (
    CARDS,
    Fault,
    name_trigger,
    read_trigger,
    spoiled,
    token_trigger,
)
from payflow.sandbox.order import Authorisation, Kind, Operation, Order, Status
from payflow.sandbox.server import Ending, Reply, Request
from payflow.sandbox.times import iso

SIGNATURE = "X-Acquirer-Signature"
BANK = "sandbox-bank"
STRIPE = "stripe"
REDIRECT_SECONDS = 900
SOON_SECONDS = 3
_SOON = "EXPIRES"

_NAME = re.compile(r"[a-z-]{1,40}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(r"[0-9]{12,19}")
_VERBS = {"captures": Kind.CAPTURE, "voids": Kind.VOID, "refunds": Kind.REFUND}
_NOT_BOOKED = b'{"error":"not_booked","message":"This answer is never seen whole."}'


class AcquirerFace:
    """Reads requests into orders, and renders what was decided about them."""

    prefixes: Mapping[Kind, str] = {
        Kind.AUTHORISE: "auth_",
        Kind.CAPTURE: "cap_",
        Kind.VOID: "void_",
        Kind.REFUND: "ref_",
    }
    keeps_first_answer = False
    keeps_retryable = False

    def __init__(self, engine: Engine, messenger: Messenger, secret: bytes, host: str) -> None:
        self._engine = engine
        self._messenger = messenger
        self._secret = secret
        self._host = host

    # For the application -----------------------------------------------------------------------

    def handle(self, request: Request, acquirer: str, parts: list[str]) -> Reply:
        """Answers a request below `/acquirers/{acquirer}/`; `parts` is the rest of the path."""
        if not _NAME.fullmatch(acquirer) or acquirer == STRIPE:
            return wire.error(HTTPStatus.NOT_FOUND, "not_found")
        if self._engine.control.is_down(acquirer):
            return Reply(HTTPStatus.SERVICE_UNAVAILABLE, ending=Ending.RESET)
        match parts:
            case ["authorisations"]:
                wire.check_method(request, "POST")
                return self._send(self._authorisation(request, acquirer))
            case ["authorisations", reference, verb] if verb in _VERBS and reference:
                wire.check_method(request, "POST")
                return self._send(self._follow_up(request, acquirer, reference, _VERBS[verb]))
            case ["operations", key] if key:
                wire.check_method(request, "GET")
                return self._inquire(acquirer, key)
        return wire.error(HTTPStatus.NOT_FOUND, "not_found")

    # For the engine ----------------------------------------------------------------------------

    def render(
        self, operation: Operation, authorisation: Authorisation | None
    ) -> tuple[int, dict[str, Any]]:
        """The answer to a send and to an inquiry alike."""
        answer: dict[str, Any] = {
            "reference": operation.reference,
            "kind": operation.kind,
            "status": operation.status,
            "amountMinor": operation.amount_minor,
            "currency": operation.currency,
        }
        if operation.reason:
            answer["reason"] = operation.reason
        if operation.is_retryable:
            answer["retryable"] = True
        if operation.status is Status.PENDING and authorisation and authorisation.expires_at:
            url = f"http://{self._host}/bank/{authorisation.reference}"
            answer["redirect"] = {"url": url, "expiresAt": iso(authorisation.expires_at)}
        return HTTPStatus.CREATED, answer

    def tell(
        self, operation: Operation, authorisation: Authorisation | None, *, was_pending: bool
    ) -> None:
        """Calls back after what was pending, and twice where the token says so."""
        if authorisation is None or not is_loopback(authorisation.callback_url):
            return
        trigger = read_trigger(authorisation.trigger)
        is_doubled = trigger.fault_of(operation.kind) is Fault.DUPLICATE
        body = json.dumps({"key": operation.key, "status": operation.status}).encode()
        message = Message(authorisation.callback_url, body, SIGNATURE)
        for _ in range(2 if is_doubled else int(was_pending)):
            self._messenger.post(message, self._secret)

    # Steps -------------------------------------------------------------------------------------

    def _send(self, order: Order) -> Reply:
        try:
            result = self._engine.perform(order)
        except InProgress:
            return wire.error(HTTPStatus.CONFLICT, "in_progress")
        except KeyReused:
            return wire.error(HTTPStatus.CONFLICT, "key_reused")
        answered = _answer(result)
        return spoiled(answered, result.doubt) if result.doubt is not None else answered

    def _inquire(self, acquirer: str, key: str) -> Reply:
        try:
            operation = self._engine.inquire(acquirer, key)
        except InProgress:
            return wire.error(HTTPStatus.CONFLICT, "in_progress")
        except Mute:
            return wire.error(HTTPStatus.SERVICE_UNAVAILABLE, "inquiry_unavailable")
        if operation is None:
            return wire.error(HTTPStatus.NOT_FOUND, "not_found")
        return Reply(HTTPStatus.OK, operation.answer.encode())

    def _authorisation(self, request: Request, acquirer: str) -> Order:
        content = wire.read_object(request)
        instrument = content.get("instrument")
        if not isinstance(instrument, dict):
            raise wire.refused("invalid_instrument")
        order = Order(
            acquirer=acquirer,
            kind=Kind.AUTHORISE,
            key=wire.idempotency_key(request),
            fingerprint=wire.fingerprint(self._secret, Kind.AUTHORISE, content),
            amount_minor=wire.whole(content, "amountMinor", 1, wire.MAX_AMOUNT_MINOR),
            currency=_currency(content),
            merchant_reference=wire.text(content, "merchantReference"),
            trigger=_trigger(instrument),
            callback_url=_url(content, "callbackUrl"),
            return_url=_url(content, "returnUrl"),
        )
        return _redirected(order, instrument) if acquirer == BANK else order

    def _follow_up(self, request: Request, acquirer: str, reference: str, kind: Kind) -> Order:
        content = wire.read_object(request)
        order = Order(
            acquirer=acquirer,
            kind=kind,
            key=wire.idempotency_key(request),
            fingerprint=wire.fingerprint(self._secret, kind, reference, content),
            authorisation=reference,
        )
        if kind is Kind.VOID:
            return order
        is_final = kind is Kind.CAPTURE and wire.flag(content, "final")
        amount = wire.whole(content, "amountMinor", 1, wire.MAX_AMOUNT_MINOR)
        return replace(order, amount_minor=amount, currency=_currency(content), is_final=is_final)


def _answer(result: Result) -> Reply:
    if not result.answer:
        return Reply(HTTPStatus.CREATED, _NOT_BOOKED)
    body = result.answer
    if result.is_misquoted:
        answer = json.loads(body)
        body = json.dumps(answer | {"amountMinor": answer["amountMinor"] + 1})
    headers = (("Idempotent-Replayed", "true"),) if result.is_replay else ()
    return Reply(result.http_status, body.encode(), headers)


def _currency(content: Mapping[str, Any]) -> str:
    currency = wire.text(content, "currency")
    if not _CURRENCY.fullmatch(currency):
        raise wire.refused("invalid_currency")
    return currency


def _url(content: Mapping[str, Any], name: str) -> str:
    url = wire.text(content, name, limit=2000, is_needed=False)
    if url and not is_web_address(url):
        raise wire.refused(f"invalid_{name}")
    return url


def _trigger(instrument: Mapping[str, Any]) -> str:
    match instrument.get("type"):
        case "TOKEN":
            return token_trigger(wire.text(instrument, "token"))
        case "CARD":
            wire.whole(instrument, "expMonth", 1, 12)
            wire.whole(instrument, "expYear", 2000, 2100)
            number = wire.text(instrument, "number")
            if not _NUMBER.fullmatch(number):
                raise wire.refused("invalid_number")
            return CARDS.get(number, "")
        case "WALLET":
            wire.text(instrument, "provider")
            return name_trigger(wire.text(instrument, "walletId"))
        case "NETBANKING":
            return name_trigger(wire.text(instrument, "bankCode"))
    raise wire.refused("invalid_instrument")


def _redirected(order: Order, instrument: Mapping[str, Any]) -> Order:
    is_named = instrument["type"] == "NETBANKING"
    name = wire.text(instrument, "bankCode") if is_named else "Sandbox Bank"
    seconds = SOON_SECONDS if name == _SOON else REDIRECT_SECONDS
    return replace(order, bank=name, redirect_seconds=seconds)
