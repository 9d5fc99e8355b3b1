"""What every command of an operator takes: who acts, and why; and how long a list may be."""

import getpass
import os
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from shared import clock
from shared.http.card_numbers import contains_card_number

LONGEST_REASON = 500
LONGEST_LIST = 10_000


def add_accounting(parser: ArgumentParser) -> None:
    """Take `--reason` and `--actor`."""
    parser.add_argument("--reason", required=True, type=_reason, help="kept in the audit trail")
    parser.add_argument("--actor", default="", help="who does this (the login of this machine)")


def operator_of(options: dict[str, Any]) -> dict[str, Any]:
    """Who acts, why and now: what use cases of operators take."""
    actor = options["actor"] or _login()
    return {"actor": actor, "reason": options["reason"], "now": clock.now()}


def limit(text: str) -> int:
    """A number of rows to list. Raises: ArgumentTypeError."""
    if not text.isdecimal() or not 0 < int(text) <= LONGEST_LIST:
        raise ArgumentTypeError(f"between 1 and {LONGEST_LIST}")
    return int(text)


def harmless(text: str) -> str:
    """A text that is stored or told. Raises: ArgumentTypeError if it contains a card number."""
    if contains_card_number(text):
        raise ArgumentTypeError("this looks like a card number, which must not be stored")
    return text.strip()


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= LONGEST_REASON:
        raise ArgumentTypeError(f"say why, in at most {LONGEST_REASON} characters")
    return harmless(text)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
