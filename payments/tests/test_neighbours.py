"""A merchant whose processor calls are slow, and its neighbours: a real dispatcher between them."""

from uuid import UUID

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.models import Operation, Payment
from payments.tests.conftest import SlowProcessor, demand, dispatching, payment_in, until
from payments.use_cases.void_payment import void_payment
from shared import clock
from shared.event_bus.dispatcher import CALLS_AT_ONCE
from shared.event_bus.registered import all_intents
from shared.identifiers import new_id

pytestmark = pytest.mark.django_db

MOST = 3 * CALLS_AT_ONCE // 4
FLOOD = CALLS_AT_ONCE + 10


def authorised(merchant_id: UUID, count: int) -> list[Payment]:
    return [payment_in(PaymentStatus.AUTHORISED, merchant_id=merchant_id) for _ in range(count)]


def hold_up(processor: SlowProcessor, payments: list[Payment]) -> None:
    slow = {payment.pk for payment in payments}
    processor.is_slow = lambda instruction: instruction.payment_id in slow


def void(payments: list[Payment]) -> list[UUID]:
    asked = [void_payment(demand=demand(payment), now=clock.now()) for payment in payments]
    return [operation.pk for operation in asked]


def done(operations: list[UUID]) -> int:
    return Operation.objects.filter(pk__in=operations, verdict="APPROVED").count()


class TestFlood:
    def test_of_slow_calls_does_not_delay_a_neighbours(self, slow_processor: SlowProcessor) -> None:
        flooding, neighbours = authorised(new_id(), FLOOD), authorised(new_id(), 3)
        hold_up(slow_processor, flooding)
        with dispatching():
            flood = void(flooding)
            until(lambda: slow_processor.held == MOST)
            calls = void(neighbours)
            until(lambda: done(calls) == 3)
            assert (slow_processor.held, done(flood)) == (MOST, 0)
            slow_processor.gate.set()
            until(lambda: done(flood) == FLOOD)
        assert set(Operation.objects.values_list("sends", flat=True)) == {1}

    def test_would_delay_it_if_whoever_came_first_were_served_first(
        self, slow_processor: SlowProcessor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The naive twin.
        (calls_of_all,) = (one for one in all_intents() if one.id == "payments.operation")
        monkeypatch.setitem(vars(calls_of_all), "by_merchant", False)
        flooding, neighbours = authorised(new_id(), FLOOD), authorised(new_id(), 1)
        hold_up(slow_processor, flooding)
        with dispatching():
            void(flooding)
            until(lambda: slow_processor.held == CALLS_AT_ONCE)
            calls = void(neighbours)
            assert done(calls) == 0  # and no slot is free before a call of the flood ends
            assert Operation.objects.get(pk=calls[0]).attempts == 0
            slow_processor.gate.set()
            until(lambda: done(calls) == 1)
