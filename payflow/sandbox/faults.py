"""What can go wrong, by name, and what a name does to one send of an operation."""

import hashlib
import re
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import lru_cache
from http import HTTPStatus

from payflow.sandbox.order import Kind
from payflow.sandbox.server import Ending, Reply


class Fault(StrEnum):
    """The faults that a token may name; the package's documentation says what each does."""

    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    RETRYABLE = "retryable"
    ALWAYS_RETRYABLE = "always_retryable"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER_CHARGE = "timeout_after_charge"
    SLOW = "slow"
    UNREACHABLE = "unreachable"
    BAD_GATEWAY_BEFORE = "bad_gateway_before"
    BAD_GATEWAY = "bad_gateway"
    HALF_BODY = "half_body"
    NO_JSON = "no_json"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CHARGE = "wrong_charge"
    DUPLICATE = "duplicate"
    LATE = "late"
    PENDING = "pending"
    FLAKY = "flaky"
    DEAF = "deaf"
    MUTE_INQUIRY = "mute_inquiry"


class Doubt(Enum):
    """What a client sees instead of an answer."""

    HANG = "hang"
    CLOSE = "close"
    RESET = "reset"
    BAD_GATEWAY = "bad gateway"
    HALF_BODY = "half body"
    NO_JSON = "no json"


@dataclass(frozen=True, slots=True)
class Strike:
    """A send that ends in doubt; `books` says whether the operation was booked first."""

    doubt: Doubt
    books: bool
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Trigger:
    """A token as read: one fault for one kind of operation, or a gate for all that follow."""

    kind: Kind = Kind.AUTHORISE
    fault: Fault | None = None
    gate: str = ""

    def fault_of(self, kind: Kind) -> Fault | None:
        """The fault of operations of this kind, if any."""
        return self.fault if kind is self.kind else None

    def gate_of(self, kind: Kind) -> str:
        """The gate at which operations of this kind wait, if any."""
        return "" if kind is Kind.AUTHORISE else self.gate


# The last digit of each is right by Luhn, so that a vault takes them for cards.
CARDS = {
    "4000000000000002": "declined",
    "4000000000009995": "insufficient_funds",
    "4000000000000119": "retryable",
    "4000000000010019": "timeout_before",
    "4000000000010027": "timeout_after_charge",
    "4000000000010035": "slow",
    "4000000000010043": "unreachable",
    "4000000000010050": "bad_gateway",
    "4000000000010068": "half_body",
    "4000000000010076": "wrong_amount",
    "4000000000010084": "pending",
    "4000000000010092": "flaky",
    "4000000000010100": "capture_timeout_after_charge",
    "4000000000010118": "refund_timeout_after_charge",
    "4000000000010126": "capture_declined",
    "4000000000010134": "refund_declined",
}

_GATE = re.compile(r"gate_([a-z0-9_-]{1,80})")
_KINDS = {"capture_": Kind.CAPTURE, "void_": Kind.VOID, "refund_": Kind.REFUND}
_NOTHING = Trigger()

_FIRST_SEND = {
    Fault.TIMEOUT_BEFORE: Strike(Doubt.HANG, books=False),
    Fault.TIMEOUT_AFTER_CHARGE: Strike(Doubt.HANG, books=True),
    Fault.BAD_GATEWAY_BEFORE: Strike(Doubt.BAD_GATEWAY, books=False),
    Fault.BAD_GATEWAY: Strike(Doubt.BAD_GATEWAY, books=True),
    Fault.HALF_BODY: Strike(Doubt.HALF_BODY, books=True),
    Fault.NO_JSON: Strike(Doubt.NO_JSON, books=True),
    Fault.LATE: Strike(Doubt.CLOSE, books=False, is_late=True),
    # Somebody must have a reason to ask before it can matter that asking does not work.
    Fault.DEAF: Strike(Doubt.CLOSE, books=True),
    Fault.MUTE_INQUIRY: Strike(Doubt.CLOSE, books=True),
}
_UNREACHABLE_SENDS = 2
_FLAKY_SENDS = 0.3
_FLAKY_ASKS = 0.1
_DEAF_ASKS = 5

# None of them hangs: a flaky acquirer that also cost half a minute each time would test patience.
_FLAKY = (
    Strike(Doubt.CLOSE, books=False),
    Strike(Doubt.CLOSE, books=True),
    Strike(Doubt.BAD_GATEWAY, books=False),
    Strike(Doubt.BAD_GATEWAY, books=True),
    Strike(Doubt.HALF_BODY, books=True),
    Strike(Doubt.RESET, books=False),
)
_CHAOS = (Doubt.CLOSE, Doubt.BAD_GATEWAY, Doubt.HALF_BODY)


def token_trigger(token: str) -> str:
    """This will answer the name after `tok_` if it is one of ours, else nothing."""
    name = token.removeprefix("tok_")
    return name if name != token and read_trigger(name) != _NOTHING else ""


def name_trigger(text: str) -> str:
    """The same for wallet ids and bank codes: `tok_` and capitals are allowed, not required."""
    name = text.lower().replace("-", "_").removeprefix("tok_")
    return name if read_trigger(name) != _NOTHING else ""


@lru_cache(maxsize=4096)
def read_trigger(name: str) -> Trigger:
    """This will read a name without `tok_`; what is not ours triggers nothing."""
    if gate := _GATE.fullmatch(name):
        return Trigger(gate=gate[1])
    for prefix, kind in _KINDS.items():
        if name.startswith(prefix):
            return _named(kind, name.removeprefix(prefix))
    return _named(Kind.AUTHORISE, name)


def _named(kind: Kind, name: str) -> Trigger:
    return Trigger(kind, Fault(name)) if name in set(Fault) else _NOTHING


def strike_of(fault: Fault, key: str, number: int) -> Strike | None:
    """This will say whether the `number`-th send of a key (from 1) ends in doubt, and how."""
    if fault is Fault.FLAKY:
        share = fraction("flaky", key, number)
        if share >= _FLAKY_SENDS:
            return None
        return _FLAKY[int(share / _FLAKY_SENDS * len(_FLAKY))]
    if fault is Fault.UNREACHABLE:
        return Strike(Doubt.RESET, books=False) if number <= _UNREACHABLE_SENDS else None
    return _FIRST_SEND.get(fault) if number == 1 else None


def chaos_strike(rate: float, seed: int, key: str, number: int) -> Strike | None:
    """The same for chaos: as many before booking as after, each kind of doubt as often."""
    share = fraction("chaos", seed, key, number)
    if share >= rate:
        return None
    choice = int(share / rate * 2 * len(_CHAOS))
    return Strike(_CHAOS[choice % len(_CHAOS)], books=choice >= len(_CHAOS))


def is_deaf(fault: Fault | None, key: str, number: int) -> bool:
    """Whether the `number`-th inquiry (from 1) about an operation goes unanswered."""
    if fault is Fault.DEAF:
        return number <= _DEAF_ASKS
    return fault is Fault.FLAKY and fraction("inquiry", key, number) < _FLAKY_ASKS


def spoiled(reply: Reply, doubt: Doubt) -> Reply:
    """This will turn an answer into what the client sees of it."""
    if doubt is Doubt.BAD_GATEWAY:
        page = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
        return Reply(HTTPStatus.BAD_GATEWAY, page, content_type="text/html")
    if doubt is Doubt.NO_JSON:
        return replace(reply, body=b"OK, thank you!", content_type="text/plain")
    endings = {
        Doubt.HANG: Ending.HANG,
        Doubt.CLOSE: Ending.CLOSE,
        Doubt.RESET: Ending.RESET,
        Doubt.HALF_BODY: Ending.HALF,
    }
    return replace(reply, ending=endings[doubt])


def fraction(*parts: object) -> float:
    """This will answer a number from 0 to below 1 that depends on nothing but the parts."""
    text = "\0".join(map(str, parts)).encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=6).digest())
    return number / 2**48
