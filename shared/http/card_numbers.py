"""
Recognising card numbers in free text, so that none is ever stored where it does not belong.

Brand prefixes and lengths follow ISO/IEC 7812 issuer ranges as the schemes publish them.
"""

import re
from collections.abc import Iterator

from shared.errors import Invalid

_MIN_DIGITS, _MAX_DIGITS = 13, 19
_MAX_SHOWN = 40  # shorter than our keys
# Digits in groups, between them one space or dash of any kind: people copy from PDFs.
_RUN = re.compile(r"\d(?:[\s\u2010-\u2015\u2212-]?\d)*")
# One random UUID in two thousand would pass for a card number, and most idempotency keys are UUIDs.
_UUID = re.compile(r"\b[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}\b", re.IGNORECASE)
_BRANDS = (
    (re.compile(r"4"), {13, 16, 19}),
    (re.compile(r"5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720)"), {16}),
    (re.compile(r"3[47]"), {15}),
    (re.compile(r"3(0[0-5]|[689])"), {14, 16, 19}),
    (re.compile(r"35(2[89]|[3-8])"), {16, 17, 18, 19}),
    (re.compile(r"6(011|4[4-9]|5)"), {16, 17, 18, 19}),
    (re.compile(r"62|81"), {16, 17, 18, 19}),
    (re.compile(r"5[06-9]|6[0-9]"), {13, 14, 15, 16, 17, 18, 19}),
    (re.compile(r"50[89]|60|65|8[12]"), {16}),
)


class CardNumberRefused(Invalid):
    """Card numbers are not taken here."""


def contains_card_number(text: str) -> bool:
    """
    Whether a text holds 13–19 digits that look like, and check as, a card number.

    Digits may stand in groups, and other digits may stand beside them: an expiry date after a card
    number does not hide it.
    """
    runs = _RUN.findall(_UUID.sub("/", text))
    return any(_is_card_number(digits) for run in runs for digits in _spans(run))


def shown(name: str) -> str:
    """A name of the caller's as an error may repeat it: short, on one line, no card number."""
    is_harmless = len(name) <= _MAX_SHOWN and name.isprintable() and not contains_card_number(name)
    return name if is_harmless else "?"


def _spans(run: str) -> Iterator[str]:
    groups = ["".join(str(int(digit)) for digit in group) for group in re.findall(r"\d+", run)]
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > _MAX_DIGITS:
                break
            if len(digits) >= _MIN_DIGITS:
                yield digits


def _is_card_number(digits: str) -> bool:
    return _has_brand(digits) and luhn_holds(digits)


def _has_brand(digits: str) -> bool:
    return any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _BRANDS)


def luhn_holds(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0
