"""Commands at the same moment on connections of their own, each beside its naive twin (M5-M8)."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations_with_replacement

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import OperationKind
from payments.models import Operation, Payment, Purpose
from payments.tests.conftest import (
    DEADLINE,
    NOW,
    FakeProcessor,
    demand,
    hasten,
    loaded,
    payment_in,
    refusal_of,
    run,
)
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.expire_holds import expire_holds
from shared import db
from shared.event_bus import DISPATCHER, drain
from shared.identifiers import new_id
from shared.testing.events import told
from shared.testing.races import race

pytestmark = pytest.mark.django_db

S = PaymentStatus
Command = Callable[[Payment], object]
Reserve = Callable[[Payment], Operation]


def try_all(payment: Payment, commands: Sequence[Command]) -> list[str]:
    """The refusals of commands that come at the same moment; empty for what was accepted."""
    return race([partial(refusal_of, partial(command, payment)) for command in commands])


def try_naively(payment: Payment, reservations: Sequence[Reserve]) -> list[str]:
    """The twin: read without the lock, reserve, write; all have read before one wrote."""
    all_read = threading.Barrier(len(reservations), timeout=30)

    def command(reserve: Reserve) -> str:
        found = loaded(payment)
        all_read.wait()

        def place() -> None:
            with db.transaction():
                operation = reserve(found)
                Payment.objects.write([found])
                Operation.objects.place(operation)

        return refusal_of(place)

    return race([partial(command, reserve) for reserve in reservations])


def asked_for(payment: Payment, kind: OperationKind) -> int:
    """What processors will be asked for."""
    operations = Operation.objects.filter(payment=payment, kind=kind)
    return sum(operations.values_list("amount_minor", flat=True))


def captures(amount_minor: int | None, *, is_final: bool) -> Command:
    return lambda payment: capture(payment, amount_minor, is_final=is_final)


def expire(_: Payment) -> None:
    expire_holds(now=DEADLINE)


def in_time_void(payment: Payment) -> object:
    return void(payment)


class TestCaptures:
    """M5: 32 captures of 60 % of one hold."""

    COUNT, AMOUNT = 32, 15_000

    def assert_within_authorised(self, payment: Payment, refusals: list[str]) -> None:
        stored = loaded(payment)
        assert asked_for(payment, OperationKind.CAPTURE) <= stored.authorised_minor
        assert sorted(refusals) == [""] + ["capture_exceeds_authorisation"] * (self.COUNT - 1)
        assert stored.capturing_minor == self.AMOUNT

    def test_take_no_more_than_was_authorised(self, processor: FakeProcessor) -> None:
        payment = payment_in(S.AUTHORISED)
        one = captures(self.AMOUNT, is_final=False)
        self.assert_within_authorised(payment, try_all(payment, [one] * self.COUNT))
        run()
        assert (loaded(payment).status, loaded(payment).captured_minor) == (
            "PARTIALLY_CAPTURED",
            15_000,
        )
        assert len(processor.book) == len(told("Payment.Transaction.Captured")) == 1

    def test_would_take_more_without_the_lock(self) -> None:
        payment = payment_in(S.AUTHORISED)

        def reserve(found: Payment) -> Operation:
            return Operation.to_capture(found, self.AMOUNT, is_final=False, now=NOW)

        refusals = try_naively(payment, [reserve] * self.COUNT)
        with pytest.raises(AssertionError):
            self.assert_within_authorised(payment, refusals)
        assert asked_for(payment, OperationKind.CAPTURE) > 25_000


class TestRefunds:
    """M6: two refunds of 60 %."""

    def assert_within_captured(self, payment: Payment) -> None:
        assert asked_for(payment, OperationKind.REFUND) <= loaded(payment).captured_minor

    def test_give_back_no_more_than_was_captured(self) -> None:
        payment = payment_in(S.CAPTURED)
        refusals = try_all(payment, [lambda one: refund(one, 6_000)] * 2)
        assert sorted(refusals) == ["", "refund_exceeds_captured"]
        self.assert_within_captured(payment)

    def test_would_give_back_more_without_the_lock(self) -> None:
        payment = payment_in(S.CAPTURED)
        reserve = partial(Operation.to_refund, amount_minor=6_000, now=NOW)
        assert try_naively(payment, [reserve] * 2) == ["", ""]
        with pytest.raises(AssertionError):
            self.assert_within_captured(payment)

    def while_the_processor_has_one(
        self, processor: FakeProcessor, payment: Payment, second: Command
    ) -> str:
        """What becomes of a second refund that is asked for while the first is under way."""
        refund(payment, 6_000)
        under_way, ended = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)

        def hold() -> None:
            processor.while_asked = lambda: None  # the first call alone
            under_way.wait()
            ended.wait()

        def ask() -> str:
            under_way.wait()
            try:
                return refusal_of(partial(second, payment))
            finally:
                ended.wait()

        def dispatch() -> str:
            drain(DISPATCHER)
            return ""

        processor.while_asked = hold
        _, refusal = race([dispatch, ask])
        hasten()
        run()
        return refusal

    def test_are_reserved_before_the_processor_is_asked(self, processor: FakeProcessor) -> None:
        payment = payment_in(S.CAPTURED)
        refusal = self.while_the_processor_has_one(processor, payment, lambda p: refund(p, 6_000))
        assert refusal == "refund_exceeds_captured"
        self.assert_within_captured(payment)
        assert loaded(payment).refunded_minor == 6_000

    def test_would_be_given_twice_if_only_what_is_done_counted(
        self, processor: FakeProcessor
    ) -> None:
        # The naive twin: nothing is reserved, the amount is checked against what was refunded.
        payment = payment_in(S.CAPTURED)

        def unreserved(found: Payment) -> None:
            with db.transaction():
                locked = Payment.objects.locked([found.pk])[str(found.pk)]
                assert locked.captured_minor - locked.refunded_minor >= 6_000
                made = Operation.to_refund(loaded(found), 1, now=NOW)
                made.amount_minor = 6_000
                Operation.objects.place(made)

        assert self.while_the_processor_has_one(processor, payment, unreserved) == ""
        with pytest.raises(AssertionError):
            self.assert_within_captured(payment)
        assert len(processor.book) == 2


class TestCaptureVoidExpiry:
    """M7 and M8: of what would end a hold, one wins, and it is released at most once."""

    ENDS: tuple[tuple[str, Command], ...] = (
        ("capture", captures(10_000, is_final=True)),
        ("part", captures(10_000, is_final=False)),
        ("void", in_time_void),
        ("expiry", expire),
    )
    PAIRS = [
        (a, b) for a, b in combinations_with_replacement(ENDS, 2) if a[0] != b[0] or a[0] == "void"
    ]

    def assert_sound(self, payment: Payment) -> None:
        stored = loaded(payment)
        releases = Operation.objects.filter(payment=payment, kind="VOID").count()
        finals = Operation.objects.filter(payment=payment, kind="CAPTURE", is_final=True).count()
        assert releases + finals <= 1
        assert not (stored.status in ("VOIDED", "EXPIRED") and stored.captured_minor)
        assert stored.captured_minor + stored.released_minor + stored.held_minor == 25_000
        ended = [*told("Payment.Transaction.Voided"), *told("Payment.Transaction.Expired")]
        mine = [event for event in ended if event["payment_id"] == str(payment.pk)]
        assert len(mine) <= 1

    @pytest.mark.parametrize("status", [S.AUTHORISED, S.PARTIALLY_CAPTURED])
    @pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0][0]} and {pair[1][0]}")
    def test_end_a_hold_once(
        self,
        processor: FakeProcessor,
        status: PaymentStatus,
        pair: tuple[tuple[str, Command], tuple[str, Command]],
    ) -> None:
        (first, one), (second, two) = pair
        for _ in range(3):
            payment = payment_in(status)
            refusals = try_all(payment, [one, two])
            if "part" not in (first, second):
                accepted = Operation.objects.filter(payment=payment).count()
                assert accepted == 1, (first, second, refusals)
            run(2)
            self.assert_sound(payment)

    def test_all_at_once_end_it_once(self, processor: FakeProcessor) -> None:
        for _ in range(5):
            payment = payment_in(S.AUTHORISED)
            try_all(payment, [command for _, command in self.ENDS] * 3)
            run(2)
            self.assert_sound(payment)

    @pytest.mark.parametrize(
        "naive", [("capture", "void"), ("void", "void"), ("capture", "expiry")]
    )
    def test_would_end_it_twice_without_the_lock(self, naive: tuple[str, str]) -> None:
        reservations: dict[str, Reserve] = {
            "capture": lambda found: Operation.to_capture(found, 10_000, now=NOW),
            "void": lambda found: Operation.to_release(found, purpose=Purpose.MERCHANT, now=NOW),
            "expiry": lambda found: Operation.to_release(found, purpose=Purpose.EXPIRY, now=NOW),
        }
        payment = payment_in(S.AUTHORISED)
        assert try_naively(payment, [reservations[name] for name in naive]) == ["", ""]
        with pytest.raises(AssertionError):
            self.assert_sound(payment)


class TestOneKey:
    def test_makes_one_operation_however_often_it_is_raced(self) -> None:
        payment = payment_in(S.AUTHORISED)
        asked = demand(payment, idempotency_key=str(new_id()))
        codes = try_all(payment, [lambda p: capture(p, 1_000, is_final=False, demand=asked)] * 8)
        assert sorted(codes) == [""] + ["idempotency_key_expired"] * 7
        assert loaded(payment).capturing_minor == 1_000


class TestDispatchers:
    def test_call_once_for_every_operation(self, processor: FakeProcessor) -> None:
        payments = [payment_in(S.AUTHORISED) for _ in range(6)]
        for payment in payments:
            for is_final in (False, True):
                capture(payment, 5_000, is_final=is_final)
        for _ in range(3):
            race([lambda: drain(DISPATCHER)] * 4)
            hasten()
        assert {loaded(payment).status for payment in payments} == {"CAPTURED"}
        assert sorted(processor.verbs()) == ["capture"] * 12
        assert len(processor.book) == len(told("Payment.Transaction.Captured")) == 12
