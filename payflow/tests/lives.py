"""Payments with a past, for tests of the registry: authorised, captured, refunded, and the rest."""

from typing import Any
from uuid import UUID

from merchants.use_cases.change_contact import change_contact
from shared import clock
from shared.event_bus import drain
from shared.testing.api import payment_body, registered_merchant
from shared.testing.signing import SigningClient


def lived() -> SigningClient:
    """A merchant whose payments went every way, with nothing outstanding."""
    merchant = registered_merchant(email="till@example.com")
    paid = [paid_by(merchant) for _ in range(4)]
    _ask(merchant, paid[0], "capture", amount="100.00", finalCapture=False)
    _ask(merchant, paid[0], "capture", amount="50.00", finalCapture=True)
    _ask(merchant, paid[0], "refund", amount="20.00", reason="returned")
    _ask(merchant, paid[1], "void")
    _ask(merchant, paid[2], "capture", amount="250.00", finalCapture=True)
    rotated = merchant.post("/merchants/keys/rotate", {"idempotencyKey": "rotate"})
    assert rotated.status_code in (200, 201), rotated.content
    change_contact(
        merchant_id=UUID(merchant.merchant_id),
        email="accounts@example.com",
        actor="ada",
        reason="asked for on the phone",
        now=clock.now(),
    )
    drain()
    return merchant


def paid_by(merchant: SigningClient) -> str:
    """The id of an authorised payment of 250.00 USD."""
    answer = merchant.post("/payments", payment_body())
    assert answer.status_code == 202, answer.content
    drain()
    return str(answer.json()["paymentId"])


def _ask(merchant: SigningClient, payment_id: str, verb: str, **body: Any) -> None:
    key = {"idempotencyKey": f"{verb}-{payment_id}-{body.get('amount')}"}
    answer = merchant.post(f"/payments/{payment_id}/{verb}", key | body, HTTP_PREFER="wait=0")
    assert answer.status_code in (200, 202), answer.content
    drain()
