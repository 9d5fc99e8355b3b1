"""The bank's page, on which a payer approves or declines."""

import base64
import hashlib
import html
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from payflow.sandbox import wire
from payflow.sandbox.engine import Engine
from payflow.sandbox.order import Authorisation, Status
from payflow.sandbox.server import Reply, Request

DECLINED_BY_PAYER = "declined_by_payer"

_DECISIONS = {
    "approve": (Status.APPROVED, ""),
    "decline": (Status.DECLINED, DECLINED_BY_PAYER),
}
# Those of the currencies that have no two decimals which a tester is likely to try.
_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "BHD": 3, "JOD": 3, "KWD": 3, "OMR": 3}

_STYLE = """
body { font: 1.125rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 32rem; margin: 2rem auto; padding: 0 1rem; }
dt { color: #555; }
dd { margin: 0 0 .75rem; font-weight: 600; }
button { font: inherit; padding: .6rem 1.4rem; margin-right: .75rem; border: 2px solid #0b5394;
         border-radius: .4rem; background: #fff; color: #0b5394; cursor: pointer; }
button[value=approve] { background: #0b5394; color: #fff; }
button:focus-visible { outline: 3px solid #e69138; outline-offset: 2px; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
# This style alone, known by its hash. No form-action: it would also stop the payer's way back to
# the merchant, which is the redirect that answers the form.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)
_QUESTION = """<p>This bank is part of a sandbox: no money moves.</p>
<dl>
<dt>Amount</dt><dd>{amount}</dd>
<dt>Payment</dt><dd>{payment}</dd>
<dt>Open until</dt><dd>{until}</dd>
</dl>
<form method="post">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="decline">Decline</button>
</form>"""


class Bank:
    """Serves `/bank/{reference}`; `return_query` says what a payer brings back to the merchant."""

    def __init__(
        self, engine: Engine, return_query: Callable[[Authorisation], Mapping[str, str]]
    ) -> None:
        self._engine = engine
        self._return_query = return_query

    def handle(self, request: Request, reference: str) -> Reply:
        """Answers the payer's browser."""
        authorisation = self._engine.book.redirected(reference)
        if authorisation is None:
            return _page(HTTPStatus.NOT_FOUND, "Nothing to decide", "<p>No such payment.</p>")
        if request.method == "POST":
            return self._decide(request, authorisation)
        wire.check_method(request, "GET")
        if authorisation.status is not Status.PENDING:
            return _decided(HTTPStatus.OK, authorisation)
        if authorisation.expires_at <= time.time():
            return _expired()
        return _page(HTTPStatus.OK, authorisation.bank, _question(authorisation))

    def _decide(self, request: Request, authorisation: Authorisation) -> Reply:
        decision = _decision(request)
        if decision not in _DECISIONS:
            return _page(HTTPStatus.BAD_REQUEST, "Not understood", "<p>Approve or decline?</p>")
        if authorisation.expires_at <= time.time():
            return _expired()
        status, reason = _DECISIONS[decision]
        decided = self._engine.settle(authorisation.acquirer, authorisation.key, status, reason)
        changed = self._engine.book.redirected(authorisation.reference) or authorisation
        if decided is None:
            return _decided(HTTPStatus.CONFLICT, changed)
        if not authorisation.return_url:
            return _decided(HTTPStatus.OK, changed)
        target = with_query(authorisation.return_url, self._return_query(changed))
        return Reply(HTTPStatus.SEE_OTHER, headers=(("Location", target),))


def with_query(url: str, more: Mapping[str, str]) -> str:
    """This will add to the query of a URL, keeping what is there."""
    parts = urlsplit(url)
    query = "&".join(text for text in (parts.query, urlencode(more)) if text)
    return urlunsplit(parts._replace(query=query))


def amount_text(amount_minor: int, currency: str) -> str:
    """This will write an amount for people: `250.00 USD`."""
    decimals = _DECIMALS.get(currency, 2)
    if not decimals:
        return f"{amount_minor} {currency}"
    major, minor = divmod(amount_minor, 10**decimals)
    return f"{major}.{minor:0{decimals}d} {currency}"


def _decision(request: Request) -> str:
    try:
        fields = dict(parse_qsl(request.body.decode(), max_num_fields=10))
    except (ValueError, UnicodeDecodeError):
        return ""
    return fields.get("decision", "")


def _question(authorisation: Authorisation) -> str:
    until = datetime.fromtimestamp(authorisation.expires_at, UTC)
    return _QUESTION.format(
        amount=html.escape(amount_text(authorisation.amount_minor, authorisation.currency)),
        payment=html.escape(authorisation.merchant_reference),
        until=f"{until:%H:%M:%S} UTC",
    )


def _decided(status: int, authorisation: Authorisation) -> Reply:
    if authorisation.reason == "redirect_expired":
        return _expired()
    word = "approved" if authorisation.status is Status.APPROVED else "declined"
    return _page(status, "Done", f"<p>This payment is {word}. You may close this page.</p>")


def _expired() -> Reply:
    return _page(HTTPStatus.GONE, "Too late", "<p>The time to decide is over.</p>")


def _page(status: int, title: str, content: str) -> Reply:
    page = _PAGE.format(title=html.escape(title), style=_STYLE, content=content).encode()
    headers = (
        ("Content-Security-Policy", _POLICY),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Reply(status, page, headers, content_type="text/html; charset=utf-8")
