"""What the module reacts to: once, and without taking others along."""

import pytest

from fraud.models import Assessment
from fraud.tests.conftest import initiated, stored
from shared.event_bus import drain
from shared.models import Event
from shared.testing.events import failed, publish_again, publish_committed

pytestmark = pytest.mark.django_db

LISTENER, INITIATED = "fraud.assess_payment", "Payment.Transaction.Initiated"


class TestOnPaymentInitiated:
    def test_assesses(self) -> None:
        payments = [initiated(), initiated(amount_minor=1_000_001)]
        publish_committed(*payments)
        drain()
        assert [found.decision for found in stored(payments)] == ["APPROVE", "DECLINE"]

    def test_takes_every_event_once(self) -> None:
        publish_committed(initiated(), initiated())
        drain()
        before = list(Assessment.objects.values()), Event.objects.count()
        assert publish_again(LISTENER, INITIATED) == 2
        drain()
        assert (list(Assessment.objects.values()), Event.objects.count()) == before

    def test_takes_the_rest_of_a_batch_without_the_poison(self) -> None:
        payments = [initiated() for _ in range(3)]
        poison = initiated(currency="ZZZ")
        publish_committed(payments[0], poison, *payments[1:])
        drain()
        assert [found.decision for found in stored(payments)] == ["APPROVE"] * 3
        assert not Assessment.objects.filter(payment_id=poison.payment_id).exists()
        assert failed(LISTENER) == [poison.subject_id]
