"""The address book of the sandbox: which path leads to which door, and who may pass."""

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from payflow.sandbox import wire
from payflow.sandbox.acquirer import STRIPE, AcquirerFace
from payflow.sandbox.bank import Bank
from payflow.sandbox.book import Book
from payflow.sandbox.callbacks import Messenger
from payflow.sandbox.control import Control
from payflow.sandbox.engine import Engine
from payflow.sandbox.operators import OperatorFace
from payflow.sandbox.order import Authorisation
from payflow.sandbox.server import Reply, Request
from payflow.sandbox.stripe_face import StripeFace

_GREETING = {
    "service": "the PayFlow sandbox: an acquirer, a bank and a Stripe for trials",
    "documentation": "payflow/sandbox/__init__.py",
    "bank": "/bank/{reference}, where nextAction.url leads",
    "book": "/book, with the bearer token PAYFLOW_SANDBOX_SECRET",
}


class Application:
    """Everything behind the server; `handle` is what the server calls."""

    def __init__(self, book: Book, secret: bytes, host: str, *, stripe_webhook_url: str) -> None:
        self._bearer = b"Bearer " + secret
        control = Control()
        self._engine = Engine(book, control)
        self._messenger = Messenger()
        self._acquirers = AcquirerFace(self._engine, self._messenger, secret, host)
        self._stripe = StripeFace(
            self._engine, self._messenger, secret, host, webhook_url=stripe_webhook_url
        )
        self._operator = OperatorFace(book, control)
        self._bank = Bank(self._engine, self._return_query)
        self._engine.add_face(self._acquirers)
        self._engine.add_face(self._stripe, STRIPE)

    def start(self) -> None:
        """Begins to do what is due and to call back."""
        self._messenger.start()
        self._engine.start()

    def handle(self, request: Request) -> Reply:
        """Answers a request."""
        parts = request.path[1:].split("/")
        match parts:
            case ["v1", *rest]:
                return self._stripe.handle(request, rest)
            case ["bank", reference]:
                return self._bank.handle(request, reference)
            case ["acquirers" | "book" | "control", *_]:
                return self._handle_known(request, parts)
            case [""]:
                return wire.reply(HTTPStatus.OK, _GREETING)
        return wire.error(HTTPStatus.NOT_FOUND, "not_found")

    def _handle_known(self, request: Request, parts: list[str]) -> Reply:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._bearer):
            return wire.reply(
                HTTPStatus.UNAUTHORIZED, {"error": "unauthorised"}, ("WWW-Authenticate", "Bearer")
            )
        match parts:
            case ["acquirers", acquirer, *rest]:
                return self._acquirers.handle(request, acquirer, rest)
            case ["control", *rest]:
                return self._operator.handle(request, rest)
            case ["book"]:
                return self._operator.read_book(request)
        return wire.error(HTTPStatus.NOT_FOUND, "not_found")

    def _return_query(self, authorisation: Authorisation) -> Mapping[str, str]:
        if authorisation.acquirer == STRIPE:
            return self._stripe.return_query(authorisation)
        return {"paymentReference": authorisation.merchant_reference}
