"""
The acquirer's protocol: JSON over HTTP, one idempotency key per operation, signed callbacks.

The sandbox speaks it for cards, wallets and banks alike; what differs is which instruments a
processor takes, so each is a class of its own behind the one port.
"""

import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID

from django.conf import settings

from payments.adapters import strict
from payments.adapters.http_client import InDoubt, NotSent, Reply, client_for
from payments.domain.processor import (
    INSTRUMENT_NOT_TAKEN,
    Bank,
    CallbackNotAuthentic,
    Card,
    Instruction,
    Instrument,
    OperationKind,
    Outcome,
    OutcomeKind,
    ProcessorToken,
    Redirect,
    Wallet,
)
from shared import clock

CALLBACK_WINDOW_SECONDS = 300

_STATUSES = {
    "APPROVED": OutcomeKind.APPROVED,
    "DECLINED": OutcomeKind.DECLINED,
    "PENDING": OutcomeKind.PENDING,
}
_SIGNATURE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", re.ASCII)


class _Acquirer:
    """What all acquirers share; a subclass says which instruments it takes."""

    instruments: ClassVar[tuple[type[Instrument], ...]] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_configured(self) -> bool:
        """Whether there is an address and a secret to call it with."""
        return bool(settings.SANDBOX_URL and settings.SANDBOX_SECRET)

    def authorise(self, instruction: Instruction) -> Outcome:
        """Hold the amount; NOT_SENT for an instrument that this processor does not take."""
        if not isinstance(instruction.instrument, self.instruments):
            return Outcome(OutcomeKind.NOT_SENT, reason=INSTRUMENT_NOT_TAKEN)
        body = _amount(instruction) | {
            "merchantReference": str(instruction.payment_id),
            "instrument": _instrument(instruction.instrument),
            "callbackUrl": f"{settings.PUBLIC_URL}/api/v1/processor-callbacks/{self.name}",
        }
        if instruction.return_url:
            body["returnUrl"] = instruction.return_url
        return self._send(instruction, "authorisations", body)

    def capture(self, instruction: Instruction) -> Outcome:
        """Take an amount from the hold; the last one releases what is left."""
        body = _amount(instruction) | {"final": instruction.is_final}
        return self._send(instruction, _path(instruction, "captures"), body)

    def void(self, instruction: Instruction) -> Outcome:
        """Release what is left of the hold."""
        outcome = self._send(instruction, _path(instruction, "voids"), {})
        if (outcome.kind, outcome.reason) == (OutcomeKind.DECLINED, "already_voided"):
            return Outcome(OutcomeKind.APPROVED, outcome.reference)
        return outcome

    def refund(self, instruction: Instruction) -> Outcome:
        """Give captured money back."""
        return self._send(instruction, _path(instruction, "refunds"), _amount(instruction))

    def inquire(self, instruction: Instruction) -> Outcome:
        """What the acquirer's book says of the operation's key."""
        try:
            reply = self._call("GET", f"operations/{instruction.operation_id}")
            return _told(instruction, reply)
        except (NotSent, InDoubt) as failure:
            # Not even "unreachable" says anything about the operation that we ask about.
            return Outcome(OutcomeKind.UNKNOWN, reason=failure.reason)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> UUID | None:
        """The operation whose key the callback names. Raises: CallbackNotAuthentic."""
        _require_signature(headers.get("x-acquirer-signature", ""), body)
        try:
            return UUID(json.loads(body)["key"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _send(self, instruction: Instruction, path: str, body: Mapping[str, Any]) -> Outcome:
        try:
            reply = self._call("POST", path, body, key=instruction.operation_id)
            return _answered(instruction, reply)
        except NotSent as failure:
            return Outcome(OutcomeKind.NOT_SENT, reason=failure.reason)
        except InDoubt as doubt:
            return Outcome(OutcomeKind.UNKNOWN, reason=doubt.reason)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: UUID | None = None,
    ) -> Reply:
        if not self.is_configured:
            raise NotSent("processor_not_configured")
        headers = {"Authorization": f"Bearer {settings.SANDBOX_SECRET}"}
        content = None
        if key is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(key)}
            content = json.dumps(body, separators=(",", ":")).encode()
        path = f"/acquirers/{self.name}/{path}"
        return client_for(settings.SANDBOX_URL).exchange(
            method, path, headers=headers, body=content
        )


class CardProcessor(_Acquirer):
    """Cards, and the tokens that stand for them: decided at once."""

    instruments = (Card, ProcessorToken)


class WalletProcessor(_Acquirer):
    """Accounts with a wallet provider, and tokens that stand for them: decided at once."""

    instruments = (Wallet, ProcessorToken)


class NetbankingProcessor(_Acquirer):
    """Banks that ask the payer on pages of their own: PENDING, with a redirect, until then."""

    instruments = (Bank,)


def _amount(instruction: Instruction) -> dict[str, Any]:
    return {"amountMinor": instruction.amount_minor, "currency": instruction.currency}


def _path(instruction: Instruction, verb: str) -> str:
    return f"authorisations/{quote(instruction.authorisation_reference, safe='')}/{verb}"


def _instrument(instrument: Instrument | None) -> dict[str, Any]:
    match instrument:
        case Card():
            return {
                "type": "CARD",
                "number": instrument.number,
                "expMonth": instrument.exp_month,
                "expYear": instrument.exp_year,
            }
        case Wallet():
            return {
                "type": "WALLET",
                "provider": instrument.provider,
                "walletId": instrument.wallet_id,
            }
        case Bank():
            return {"type": "NETBANKING", "bankCode": instrument.code}
        case ProcessorToken():
            return {"type": "TOKEN", "token": instrument.token}
    raise InDoubt(INSTRUMENT_NOT_TAKEN)  # excluded by `authorise`


def _answered(instruction: Instruction, reply: Reply) -> Outcome:
    """What became of something that was sent."""
    answer = reply.json()
    match reply.status, answer.get("error"):
        case HTTPStatus.OK | HTTPStatus.CREATED, None:
            return _decision(instruction, answer)
        case HTTPStatus.BAD_REQUEST, _:
            return Outcome(OutcomeKind.DECLINED, reason="invalid_request")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN, _:
            return Outcome(OutcomeKind.NOT_SENT, reason="processor_refused_credentials")
        case HTTPStatus.CONFLICT, "key_reused":
            # Something is booked under our key, whatever it was: not done would be a guess.
            raise InDoubt("key_reused")
    raise InDoubt(_why_no_answer(reply, answer))


def _told(instruction: Instruction, reply: Reply) -> Outcome:
    """What the answer to an inquiry says; only the book's own "not found" is one."""
    answer = reply.json()
    match reply.status, answer.get("error"):
        case HTTPStatus.OK, None:
            return _decision(instruction, answer)
        case HTTPStatus.NOT_FOUND, "not_found":
            return Outcome(OutcomeKind.NOT_SENT, reason="not_found")
    raise InDoubt(_why_no_answer(reply, answer))


def _why_no_answer(reply: Reply, answer: Mapping[str, Any]) -> str:
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "processor_refused_credentials"
    is_in_progress = (reply.status, answer.get("error")) == (HTTPStatus.CONFLICT, "in_progress")
    return "in_progress" if is_in_progress else f"http_{reply.status}"


def _decision(instruction: Instruction, answer: Mapping[str, Any]) -> Outcome:
    try:
        kind = _STATUSES[strict.text(answer.get("status"))]
        reference = strict.identifier(answer.get("reference"))
        redirect = _redirect(answer.get("redirect"))
    except (strict.NotAsPublished, KeyError):
        raise InDoubt("unexpected_answer") from None
    if answer.get("kind") != instruction.kind:
        raise InDoubt("unexpected_answer")
    if not _is_about_the_same_amount(instruction, answer):
        raise InDoubt("amount_mismatch")
    if kind == OutcomeKind.DECLINED:
        reason = strict.code(answer.get("reason"), "declined")
        return Outcome(kind, reference, reason, is_retryable=answer.get("retryable") is True)
    return Outcome(kind, reference, redirect=redirect if kind == OutcomeKind.PENDING else None)


def _is_about_the_same_amount(instruction: Instruction, answer: Mapping[str, Any]) -> bool:
    if answer.get("currency") != instruction.currency:
        return False
    # A void names no amount: what is left of the hold is the acquirer's to say.
    if instruction.kind == OperationKind.VOID:
        return True
    try:
        return strict.whole_number(answer.get("amountMinor")) == instruction.amount_minor
    except strict.NotAsPublished:
        return False


def _redirect(value: object) -> Redirect | None:
    """Where the payer goes. Raises: strict.NotAsPublished, KeyError."""
    if value is None:
        return None
    redirect = strict.mapping(value)
    try:
        expires_at = datetime.fromisoformat(strict.text(redirect["expiresAt"]))
    except ValueError:
        raise strict.NotAsPublished("not an instant") from None
    if expires_at.tzinfo is None:
        raise strict.NotAsPublished("an instant without its offset")
    return Redirect(strict.web_address(redirect["url"]), expires_at)


def _require_signature(header: str, body: bytes) -> None:
    match = _SIGNATURE.fullmatch(header)
    if match is None or not settings.SANDBOX_SECRET:
        raise CallbackNotAuthentic
    signed = match[1].encode() + b"." + body
    expected = hmac.new(settings.SANDBOX_SECRET.encode(), signed, sha256).hexdigest()
    age_seconds = clock.now().timestamp() - int(match[1])
    if not hmac.compare_digest(expected, match[2]) or abs(age_seconds) > CALLBACK_WINDOW_SECONDS:
        raise CallbackNotAuthentic
