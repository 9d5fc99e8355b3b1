"""Test numbers, and cards made of them."""

from typing import Any

VISA = "4111111111111111"
MASTERCARD = "5555555555554444"


def card(number: str = VISA, **changes: Any) -> dict[str, Any]:
    """A card that expires long after the tests' day."""
    return {"number": number, "expMonth": 12, "expYear": 2040} | changes


def with_check_digit(digits: str) -> str:
    """These digits and the one that makes Luhn's sum a multiple of ten, found by counting up."""
    for last in "0123456789":
        number = digits + last
        doubled = [int(d) * 2 for d in number[-2::-2]]
        total = sum(d - 9 if d > 9 else d for d in doubled) + sum(map(int, number[-1::-2]))
        if total % 10 == 0:
            return number
    raise AssertionError(digits)
