"""
Recognising card numbers in free text, so that none is ever stored where it does not belong.

Brand prefixes and lengths follow ISO/IEC 7812 issuer ranges as the schemes publish them.
"""

import re

_CANDIDATE = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])", re.ASCII)
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


def contains_card_number(text: str) -> bool:
    """Whether a text holds 13–19 digits that look like, and check as, a card number."""
    return any(_is_card_number(match[0]) for match in _CANDIDATE.finditer(text))


def _is_card_number(candidate: str) -> bool:
    digits = re.sub(r"[ -]", "", candidate)
    return _has_brand(digits) and luhn_holds(digits)


def _has_brand(digits: str) -> bool:
    return any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _BRANDS)


def luhn_holds(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0
