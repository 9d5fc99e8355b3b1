"""Writes a backlog of accepted payments that nobody has worked on yet."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
django.setup()

from payments.use_cases.initiate_payment import Terms, initiate_payment  # noqa: E402
from shared import clock  # noqa: E402
from shared.identifiers import new_id  # noqa: E402


def main(count: int) -> None:
    """Accept so many payments of one merchant."""
    merchant_id = new_id()
    for _ in range(count):
        terms = Terms(
            merchant_id=merchant_id,
            merchant_name="Acme",
            merchant_email="acme@example.com",
            payee_account_id=new_id(),
            idempotency_key=str(new_id()),
            amount_minor=25_000,
            currency="USD",
            method_type="CARD",
            method_token="tok_test",  # noqa: S106 - a sandbox token
            description="",
            metadata={},
        )
        initiate_payment(terms=terms, now=clock.now())


if __name__ == "__main__":
    main(int(sys.argv[1]))
