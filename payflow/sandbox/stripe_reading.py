"""Stripe's reading requests."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from payflow.sandbox import stripe_forms as forms
from payflow.sandbox import wire
from payflow.sandbox.acquirer import STRIPE
from payflow.sandbox.engine import Engine
from payflow.sandbox.faults import read_trigger
from payflow.sandbox.order import Authorisation, Kind, Operation, Status
from payflow.sandbox.server import Reply, Request
from payflow.sandbox.stripe_objects import charge, intent, listing, refund

_MAX_LIMIT = 100
_DEFAULT_LIMIT = 10
_END_OF_TIME = 2**40
_INTENTS = frozenset({"created", "limit", "starting_after", "expand"})
_REFUNDS = frozenset({"payment_intent", "limit", "starting_after", "expand"})


class Reading:
    """Answers objects as they are now; everything raises Refused, and Mute where asking fails."""

    def __init__(self, engine: Engine, secret: bytes, host: str) -> None:
        self._engine = engine
        self._book = engine.book
        self._secret = secret
        self._host = host

    def intents(self, request: Request, rest: list[str]) -> Reply:
        """`GET /v1/payment_intents` and `/v1/payment_intents/{id}`."""
        form = forms.nested(request.query.items())
        if not rest:
            return self._list_intents(form)
        forms.check_known(form, frozenset({"expand", "client_secret"}))
        hold = self._hold(rest[0], "intent")
        content = self._intent(hold)
        if "latest_charge" in forms.section(form, "expand").values() and content["latest_charge"]:
            content["latest_charge"] = charge(hold)
        return wire.reply(HTTPStatus.OK, content)

    def refunds(self, request: Request, rest: list[str]) -> Reply:
        """`GET /v1/refunds` of a payment intent, newest first, and `/v1/refunds/{id}`."""
        form = forms.nested(request.query.items())
        if not rest:
            return self._list_refunds(form)
        forms.check_known(form, frozenset({"expand"}))
        found = self._book.operation_by_reference(STRIPE, rest[0])
        if found is None or not _is_refund(found):
            raise forms.missing("refund", "id")
        self._check_hearing(self._book.authorisation(STRIPE, found.authorisation))
        return wire.reply(HTTPStatus.OK, refund(found))

    # Steps -------------------------------------------------------------------------------------

    def _list_intents(self, form: forms.Form) -> Reply:
        forms.check_known(form, _INTENTS)
        limit = _limit(form)
        since, until = _span(form)
        before = None
        if after := forms.text(form, "starting_after", ""):
            before = self._hold(after, "starting_after").number
        holds = self._book.newest_authorisations(
            STRIPE, since=since, until=until, before=before, limit=limit + 1
        )
        self._check_page_hearing(holds[:limit])
        page = [self._as_it_is(hold) for hold in holds[:limit]]
        content = listing("/v1/payment_intents", page, has_more=len(holds) > limit)
        return wire.reply(HTTPStatus.OK, content)

    def _list_refunds(self, form: forms.Form) -> Reply:
        forms.check_known(form, _REFUNDS)
        limit = _limit(form)
        hold = self._hold(forms.text(form, "payment_intent"), "payment_intent")
        self._check_hearing(hold)
        found = self._book.operations_of(hold.reference, Kind.REFUND)
        names = [operation for operation in reversed(found) if _is_refund(operation)]
        if after := forms.text(form, "starting_after", ""):
            references = [operation.reference for operation in names]
            if after not in references:
                raise forms.missing("refund", "starting_after")
            names = names[references.index(after) + 1 :]
        page = [refund(operation) for operation in names[:limit]]
        content = listing("/v1/refunds", page, has_more=len(names) > limit)
        return wire.reply(HTTPStatus.OK, content)

    def _intent(self, hold: Authorisation) -> dict[str, Any]:
        self._check_hearing(hold)
        return self._as_it_is(hold)

    def _as_it_is(self, hold: Authorisation) -> dict[str, Any]:
        captures = self._book.operations_of(hold.reference, Kind.CAPTURE)
        is_capturing = any(capture.status is Status.PENDING for capture in captures)
        return intent(hold, self._secret, self._host, is_capturing=is_capturing)

    def _check_hearing(self, hold: Authorisation | None) -> None:
        # Whatever of an intent is struck, asking about the intent is the inquiry.
        if hold is not None and hold.trigger:
            self._engine.check_hearing(hold, read_trigger(hold.trigger).kind, hold.key)

    def _check_page_hearing(self, holds: list[Authorisation]) -> None:
        # Once for each kind of deafness: a page full of flaky intents is not deafer than one.
        struck = {}
        for hold in reversed(holds):
            if fault := read_trigger(hold.trigger).fault_of(Kind.AUTHORISE):
                struck[fault] = hold
        for hold in struck.values():
            self._check_hearing(hold)

    def _hold(self, name: str, param: str) -> Authorisation:
        hold = self._book.authorisation(STRIPE, name)
        if hold is None:
            raise forms.missing("payment_intent", param)
        return hold


def _limit(form: Mapping[str, Any]) -> int:
    limit = forms.whole(form, "limit", _DEFAULT_LIMIT)
    if not 1 <= limit <= _MAX_LIMIT:
        raise forms.invalid("Limits are 1 to 100.", "parameter_invalid_integer", "limit")
    return limit


def _span(form: forms.Form) -> tuple[float, float]:
    created = form.get("created", {})
    if isinstance(created, str):
        at = forms.whole(form, "created")
        return at, at + 0.999999
    since = max(
        forms.whole(created, "gte", 0), forms.whole(created, "gt", 0) + int("gt" in created)
    )
    until = float(_END_OF_TIME)
    if "lte" in created:
        until = forms.whole(created, "lte") + 0.999999
    if "lt" in created:
        until = min(until, forms.whole(created, "lt") - 0.000001)
    return since, until


def _is_refund(operation: Operation) -> bool:
    # A refused refund is a line in the book and an error on the wire, never an object.
    return operation.kind is Kind.REFUND and operation.http_status == HTTPStatus.OK
