"""
A processor whose answers get lost, and a dispatcher killed between call and record.

Four operations per payment: authorise 100.00, capture 60.00, capture the last 40.00, refund 30.00.
One send in ten ends in doubt; the dispatcher is killed again and again. In the end our operations
and the acquirer's book are the same, line by line. `make doubt` runs 2,000 operations.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from ledger.queries import find_imbalances
from payflow.tests import processes
from payflow.tests.processes import wait_until
from payflow.tests.sandbox_process import Sandbox
from payments.models import Operation, Payment
from payments.use_cases.capture_payment import capture_payment
from payments.use_cases.initiate_payment import Terms, initiate_payment
from payments.use_cases.place_operation import Demand
from payments.use_cases.refund_payment import refund_payment
from shared import clock
from shared.db import run_in_transaction
from shared.event_bus import DISPATCHER, drain
from shared.identifiers import new_id

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("processes")]

OPERATIONS = int(os.environ.get("PAYFLOW_DOUBT_OPERATIONS", "240"))
PAYMENTS = OPERATIONS // 4
KILLS = max(4, PAYMENTS // 25)
MERCHANT_ID = new_id()


class TestDoubt:
    def test_leaves_our_book_and_the_acquirers_the_same(self, tmp_path: Path) -> None:
        with Sandbox(tmp_path, "--hang-seconds", "2") as sandbox:
            sandbox.control("chaos", unknownRate=0.1, seed=2026)
            environment = {
                "PAYFLOW_SANDBOX_URL": sandbox.url,
                "PAYFLOW_PROCESSOR_TIMEOUT_SECONDS": "1",
            }
            accept_payments()
            with processes.dispatcher(tmp_path, **environment) as dispatcher:
                dispatcher.start()
                unrecorded = live_and_kill(dispatcher, sandbox)
            book = sandbox.book()

        assert unrecorded > 0, "no kill came between a call and its record"
        assert doubts() > 0, "no answer was lost"
        assert approved(book) == ours()
        assert len({line["key"] for line in book}) == OPERATIONS
        assert Counter(payment.status for payment in Payment.objects.all()) == {
            "PARTIALLY_REFUNDED": PAYMENTS
        }
        assert not Payment.objects.filter(in_doubt=True).exists()
        drain(DISPATCHER)
        assert find_imbalances() == []
        assert entries() == {"AUTH": PAYMENTS, "CAPTURE": 2 * PAYMENTS, "REFUND": PAYMENTS}


def live_and_kill(dispatcher: processes.Process, sandbox: Sandbox) -> int:
    """Ask for the next step of every payment that rests; kill at every share of the way."""
    unrecorded = 0
    for kill in range(1, KILLS + 1):
        wait_until(lambda k=kill: advance() >= OPERATIONS * k // (KILLS + 1), dispatcher.output)  # type: ignore[misc]
        dispatcher.kill()
        charged = {line["key"] for line in sandbox.book()}
        lost = Operation.objects.filter(verdict="", attempts__gt=0).values_list("pk", flat=True)
        unrecorded += sum(str(pk) in charged for pk in lost)
        hasten()
        dispatcher.start()
    wait_until(lambda: advance(hurry=True) == OPERATIONS, dispatcher.output)
    return unrecorded


def advance(*, hurry: bool = False) -> int:
    """Ask for what comes next, and return how many operations are concluded."""
    if hurry:
        hasten()
    for payment in Payment.objects.filter(is_closing=False, capturing_minor=0, refunding_minor=0):
        step = NEXT.get((payment.status, payment.captured_minor))
        if step is not None:
            step(payment)
    return Operation.objects.exclude(verdict="").count()


def demand(payment: Payment, step: str) -> Demand:
    return Demand(payment.merchant_id, payment.pk, f"{payment.pk}-{step}")


def capture(amount_minor: int, *, is_final: bool) -> Callable[[Payment], Any]:
    return lambda payment: capture_payment(
        demand=demand(payment, f"capture-{amount_minor}"),
        amount_minor=amount_minor,
        is_final=is_final,
        now=clock.now(),
    )


def refund(payment: Payment) -> Any:
    return refund_payment(
        demand=demand(payment, "refund"), amount_minor=3_000, reason="", now=clock.now()
    )


NEXT: dict[tuple[str, int], Callable[[Payment], Any]] = {
    ("AUTHORISED", 0): capture(6_000, is_final=False),
    ("PARTIALLY_CAPTURED", 6_000): capture(4_000, is_final=True),
    ("CAPTURED", 10_000): refund,
}


def accept_payments() -> None:
    for number in range(PAYMENTS):
        terms = Terms(
            merchant_id=MERCHANT_ID,
            merchant_name="Acme",
            merchant_email="acme@example.com",
            payee_account_id=new_id(),
            idempotency_key=f"key-{number}",
            amount_minor=10_000,
            currency="USD",
            method_type="CARD",
            method_token="tok_test",
        )
        run_in_transaction(lambda terms=terms: initiate_payment(terms=terms, now=clock.now()))  # type: ignore[misc]


def approved(book: list[dict[str, Any]]) -> Counter[tuple[str, str, int]]:
    """What the acquirer did: every line that is approved."""
    lines = [line for line in book if line["status"] == "APPROVED"]
    return Counter((line["key"], line["kind"], line["amountMinor"]) for line in lines)


def ours() -> Counter[tuple[str, str, int]]:
    """What we say it did, once each."""
    done = Operation.objects.filter(verdict="APPROVED")
    return Counter((str(o.pk), o.kind, o.amount_minor) for o in done)


def doubts() -> int:
    return Operation.objects.filter(inquiries__gt=0).count()


def hasten() -> None:
    """Let time pass: leases end, and what waits for its time is due."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE payments.operation SET due_at = now() WHERE due_at > now()")
        cursor.execute(
            "UPDATE payments.circuit_breaker SET opened_at = now() - interval '1 hour'"
            " WHERE opened_at IS NOT NULL"
        )


def entries() -> Counter[str]:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT entry_type, count(*) FROM ledger.journal_entry GROUP BY entry_type")
        return Counter(dict(cursor.fetchall()))
