"""What every command asks that changes something: who does it, and why. Kept in the audit trail."""

import getpass
import os
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from shared import clock
from shared.http.card_numbers import contains_card_number

_LONGEST_REASON = 500


def add_accounting(parser: ArgumentParser) -> None:
    """Let a command take `--reason` and `--actor`."""
    parser.add_argument("--reason", required=True, type=_reason, help="kept in the audit trail")
    parser.add_argument("--actor", default="", help="who does this (the login of this machine)")


def operator_of(options: dict[str, Any]) -> dict[str, Any]:
    """Who does it, why and when, as use cases take it."""
    actor = options["actor"] or _login()
    return {"actor": actor, "reason": options["reason"], "now": clock.now()}


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _reason(text: str) -> str:
    if not 0 < len(text.strip()) <= _LONGEST_REASON:
        raise ArgumentTypeError(f"say why, in at most {_LONGEST_REASON} characters")
    if contains_card_number(text):
        raise ArgumentTypeError("this looks like a card number, which must not be stored")
    return text.strip()
