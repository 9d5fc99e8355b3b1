"""Expiry: every hold whose time is over is released once, and nothing that is in flight."""

from datetime import timedelta

import pytest
from django.db import connection, connections

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation
from payments.tests.conftest import DEADLINE, NOW, FakeProcessor, loaded, payment_in, run
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.expire_holds import expire_holds
from shared.testing.events import told

pytestmark = pytest.mark.django_db

EXPIRED = "Payment.Transaction.Expired"
AFTER = {"AUTHORISED": ("EXPIRED", 25_000), "PARTIALLY_CAPTURED": ("CAPTURED", 15_000)}


class TestExpireHolds:
    @pytest.mark.parametrize("status", PaymentStatus)
    def test_releases_what_is_held_and_nothing_else(
        self, processor: FakeProcessor, status: PaymentStatus
    ) -> None:
        payment = payment_in(status)
        assert expire_holds(now=DEADLINE) == (status in AFTER)
        run()
        after, released = AFTER.get(status, (status, None))
        assert loaded(payment).status == after
        assert [e["released_amount_minor"] for e in told(EXPIRED)] == (
            [released] if released else []
        )

    def test_happens_at_the_deadline_and_not_before(self) -> None:
        payment_in(PaymentStatus.AUTHORISED)
        payment_in(PaymentStatus.AUTHORISED, capture_before=NOW + timedelta(hours=1))
        assert expire_holds(now=NOW + timedelta(minutes=59)) == 0
        assert expire_holds(now=NOW + timedelta(hours=1)) == 1
        assert expire_holds(now=DEADLINE - timedelta(microseconds=1)) == 0
        assert expire_holds(now=DEADLINE) == 1

    def test_happens_once(self) -> None:
        payment_in(PaymentStatus.AUTHORISED)
        assert [expire_holds(now=DEADLINE) for _ in range(3)] == [1, 0, 0]
        assert Operation.objects.filter(purpose="EXPIRY").count() == 1

    def test_waits_for_a_capture_and_a_void_to_end(self, processor: FakeProcessor) -> None:
        captured, voided = (payment_in(PaymentStatus.AUTHORISED) for _ in range(2))
        capture(captured, 10_000, is_final=False)
        void(voided)
        assert expire_holds(now=DEADLINE) == 0
        run()
        assert expire_holds(now=DEADLINE) == 1
        run()
        statuses = (loaded(captured).status, loaded(voided).status)
        assert statuses == ("CAPTURED", "VOIDED")

    def test_takes_as_many_batches_as_it_needs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conf, "EXPIRE_AT_ONCE", 2)
        for _ in range(5):
            payment_in(PaymentStatus.AUTHORISED)
        assert expire_holds(now=DEADLINE) == 5

    def test_leaves_out_who_is_busy(self) -> None:
        busy, free = (payment_in(PaymentStatus.AUTHORISED) for _ in range(2))
        with connections["owner"].cursor() as cursor:
            connections["owner"].set_autocommit(False)
            cursor.execute("SELECT 1 FROM payments.payment WHERE id = %s FOR UPDATE", [busy.pk])
            assert expire_holds(now=DEADLINE) == 1
            connections["owner"].rollback()
            connections["owner"].set_autocommit(True)
        assert (loaded(busy).is_closing, loaded(free).is_closing) == (False, True)
        assert connection.get_autocommit()

    @pytest.mark.parametrize("reason", ["already_released", "hold_not_found"])
    def test_ends_the_hold_whatever_the_processor_says(
        self, processor: FakeProcessor, reason: str
    ) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        expire_holds(now=DEADLINE)
        processor.answers = [Outcome(OutcomeKind.DECLINED, reason=reason)]
        run()
        assert loaded(payment).status == "EXPIRED"
        assert len(told(EXPIRED)) == 1

    def test_is_tried_until_the_processor_can_be_reached(self, processor: FakeProcessor) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        expire_holds(now=DEADLINE)
        processor.is_reachable = False
        run(conf.MAX_SENDS + 3)
        assert (loaded(payment).status, loaded(payment).is_closing) == ("AUTHORISED", True)
        processor.is_reachable = True
        run()
        assert loaded(payment).status == "EXPIRED"
