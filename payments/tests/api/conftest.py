"""Who pays in the tests of the module's API, and what they have paid."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections

from payments.domain.lifecycle import PaymentStatus
from payments.models import Payment
from payments.tests.conftest import hasten, loaded, payment_in
from shared import clock
from shared.event_bus import DISPATCHER, drain
from shared.testing.api import registered_merchant
from shared.testing.signing import SigningClient


@pytest.fixture
def merchant(db: None) -> SigningClient:
    return registered_merchant()


@pytest.fixture
def other(db: None) -> SigningClient:
    return registered_merchant("Other Ltd")


def payment_of(merchant: SigningClient, status: PaymentStatus, **changes: Any) -> Payment:
    """A merchant's payment in a status, whose hold lasts until tomorrow."""
    payment = payment_in(status, merchant_id=UUID(merchant.merchant_id), **changes)
    tomorrow = clock.now() + timedelta(days=1)
    Payment.objects.filter(pk=payment.pk, authorised_at__isnull=False).update(
        capture_before=tomorrow
    )
    return loaded(payment)


def ask(merchant: SigningClient, payment: Payment, verb: str, *, wait: int = 1, **body: Any) -> Any:
    """The answer to a capture, void or refund under a new key, with nobody working meanwhile."""
    document = {"idempotencyKey": f"key-{uuid4()}"} | body
    return merchant.post(f"/payments/{payment.pk}/{verb}", document, HTTP_PREFER=f"wait={wait}")


def answered(work: Callable[[], Any]) -> Any:
    """The answer to a request that waits while a dispatcher works, and time flies."""

    def in_own_connection() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(in_own_connection)
        while not asked.done():
            drain(DISPATCHER)  # and every listener
            hasten()
        return asked.result()
