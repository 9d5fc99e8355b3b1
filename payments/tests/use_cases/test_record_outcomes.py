"""Recording outcomes: every kind of operation with every outcome, in a batch, late, and again."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import conf
from payments.adapters.stripe_processor import StripeProcessor
from payments.domain.lifecycle import DECIDED, PaymentStatus
from payments.domain.processor import (
    Bank,
    Instruction,
    Instrument,
    OperationKind,
    Outcome,
    OutcomeKind,
    ProcessorToken,
)
from payments.models import CircuitBreaker, Operation, Payment
from payments.tests.conftest import DEADLINE, NOW, claimed, loaded, payment_in, planned
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.expire_holds import expire_holds
from payments.use_cases.record_outcomes import record_outcomes
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("processor")]

S = PaymentStatus
OUTCOMES = {
    OutcomeKind.APPROVED: Outcome(OutcomeKind.APPROVED, reference="ref-1"),
    OutcomeKind.DECLINED: Outcome(OutcomeKind.DECLINED, reason="insufficient_funds"),
    OutcomeKind.PENDING: Outcome(OutcomeKind.PENDING, reference="ref-1"),
    OutcomeKind.NOT_SENT: Outcome(OutcomeKind.NOT_SENT, reason="connection_refused"),
    OutcomeKind.UNKNOWN: Outcome(OutcomeKind.UNKNOWN, reason="timeout"),
}


def record(operation: Operation, *kinds: str) -> tuple[Payment, Operation]:
    """Payment and operation as they are stored after these outcomes, one after the other."""
    for kind in kinds:
        record_outcomes(finished=[(operation, OUTCOMES[OutcomeKind(kind)])], now=NOW)
        operation = Operation.objects.get(pk=operation.pk)
    return operation.payment, operation


def first_call() -> Operation:
    """The call of a PENDING payment, as it is claimed for the first time."""
    return planned(payment_in(S.PENDING))


def expiring() -> Operation:
    payment = payment_in(S.PARTIALLY_CAPTURED)
    expire_holds(now=DEADLINE)
    return Operation.objects.get(payment=payment)


ASKED: dict[str, Callable[[], Operation]] = {
    "capture": lambda: capture(payment_in(S.AUTHORISED), 10_000, is_final=False),
    "final capture": lambda: capture(payment_in(S.AUTHORISED), 10_000),
    "void": lambda: void(payment_in(S.AUTHORISED)),
    "void of the rest": lambda: void(payment_in(S.PARTIALLY_CAPTURED)),
    "expiry": expiring,
    "refund": lambda: refund(payment_in(S.CAPTURED), 4_000),
    "refund of all": lambda: refund(payment_in(S.CAPTURED)),
}
DONE = {
    "capture": ("PARTIALLY_CAPTURED", "Payment.Transaction.Captured"),
    "final capture": ("CAPTURED", "Payment.Transaction.Captured"),
    "void": ("VOIDED", "Payment.Transaction.Voided"),
    "void of the rest": ("CAPTURED", "Payment.Transaction.Voided"),
    "expiry": ("CAPTURED", "Payment.Transaction.Expired"),
    "refund": ("PARTIALLY_REFUNDED", "Payment.Transaction.Refunded"),
    "refund of all": ("REFUNDED", "Payment.Transaction.Refunded"),
}
NO_MORE = ("NOT_SENT",) * conf.MAX_SENDS


def asked(name: str) -> Operation:
    return claimed(ASKED[name]())


def types() -> list[str]:
    return list(Event.objects.order_by("sequence").values_list("event_type", flat=True))


def reserved(payment: Payment) -> tuple[int, int, bool]:
    return payment.capturing_minor, payment.refunding_minor, payment.is_closing


class TestAuthorisation:
    def test_covers_every_kind_of_outcome(self) -> None:
        assert set(OUTCOMES) == set(OutcomeKind)

    def test_approved_authorises(self) -> None:
        payment, operation = record(first_call(), "APPROVED")
        assert (payment.status, payment.authorised_minor) == ("AUTHORISED", 25_000)
        assert (operation.outcome, operation.due_at) == ("APPROVED", None)
        (event,) = told("Payment.Transaction.Authorised")
        assert (event["processor"], event["processor_reference"]) == ("sandbox", "ref-1")
        assert event["amount_minor"] == 25_000
        assert event["capture_before"] == "2026-06-08T12:00:00.000000Z"

    def test_declined_declines_with_the_issuers_reason(self) -> None:
        payment, operation = record(first_call(), "DECLINED")
        assert (payment.status, payment.decline_reason) == ("DECLINED", "insufficient_funds")
        assert operation.due_at is None
        assert told("Payment.Transaction.Declined")[0]["reason"] == "insufficient_funds"

    @pytest.mark.parametrize("kind", ["UNKNOWN", "PENDING"])
    def test_undecided_leaves_it_pending_until_an_inquiry_tells(self, kind: str) -> None:
        payment, operation = record(first_call(), kind)
        # The processor has what is PENDING and says so: only UNKNOWN is doubt.
        assert (payment.status, payment.in_doubt) == ("PENDING", kind == "UNKNOWN")
        assert operation.due_at == NOW + timedelta(seconds=conf.INQUIRY_SECONDS[0])
        assert operation.was_inquiry
        assert types() == []

    def test_an_authoritative_no_ends_the_doubt_and_not_the_payment(self) -> None:
        payment, operation = record(first_call(), "UNKNOWN", "NOT_SENT")
        assert (payment.status, payment.in_doubt) == ("PENDING", False)
        assert (operation.sends, operation.inquiries) == (1, 1)
        assert operation.due_at == NOW + timedelta(seconds=2)

    @pytest.mark.parametrize(
        ("kind", "status"), [("APPROVED", "AUTHORISED"), ("DECLINED", "DECLINED")]
    )
    def test_an_inquiry_decides_as_an_answer_would(self, kind: str, status: str) -> None:
        payment, operation = record(first_call(), "UNKNOWN", kind)
        assert (payment.status, payment.in_doubt, operation.due_at) == (status, False, None)

    def test_not_sent_for_the_fifth_time_fails(self) -> None:
        payment, operation = record(first_call(), *NO_MORE[1:])
        assert (payment.status, types()) == ("PENDING", [])
        payment, operation = record(operation, "NOT_SENT")
        assert (payment.status, payment.failure_reason) == ("FAILED", "processor_unreachable")
        assert (operation.due_at, operation.sends) == (None, conf.MAX_SENDS)
        assert told("Payment.Transaction.Failed")[0]["reason"] == "processor_unreachable"

    def test_a_decision_changes_nothing_of_a_payment_that_is_decided(self) -> None:
        for status in DECIDED:
            for kind, outcome in OUTCOMES.items():
                decided = payment_in(status)
                before = Payment.objects.filter(pk=decided.pk).values().get()
                late = planned(decided, sends=conf.MAX_SENDS - 1)
                payment, operation = record(late, kind)
                changed = {"in_doubt": before["in_doubt"] or kind == OutcomeKind.UNKNOWN}
                after = Payment.objects.filter(pk=payment.pk).values().get()
                assert after == before | changed | {"updated_at": after["updated_at"]}
                assert (operation.outcome, operation.reason) == (kind, outcome.reason)
        assert types() == []

    def test_approved_too_late_is_released(self) -> None:
        payment, _ = record(planned(payment_in(S.IN_REVIEW)), "APPROVED")
        assert payment.status == "IN_REVIEW"
        reversal = Operation.objects.get(purpose="REVERSAL")
        assert (reversal.kind, reversal.authorisation_reference) == ("VOID", "ref-1")

    def test_captures_at_once_what_shall_be(self) -> None:
        payment, _ = record(planned(payment_in(S.PENDING, captures_at_once=True)), "APPROVED")
        operation = Operation.objects.get(kind="CAPTURE")
        assert (operation.purpose, operation.amount_minor, operation.is_final) == (
            "AT_ONCE",
            25_000,
            True,
        )
        assert operation.authorisation_reference == "ref-1"
        assert not payment.is_decided
        payment, _ = record(claimed(operation), "APPROVED")
        assert (payment.status, payment.is_decided) == ("CAPTURED", True)

    def test_is_authorised_though_it_is_too_late_to_capture_at_once(self) -> None:
        terms = {"captures_at_once": True, "capture_before": NOW - timedelta(minutes=1)}
        payment, _ = record(planned(payment_in(S.PENDING, **terms)), "APPROVED")
        assert (payment.status, payment.is_decided) == ("AUTHORISED", True)
        assert not Operation.objects.filter(kind="CAPTURE").exists()
        assert expire_holds(now=NOW) == 1


class TestMovement:
    @pytest.mark.parametrize("name", ASKED)
    @pytest.mark.parametrize("doubt", [(), ("UNKNOWN", "UNKNOWN"), ("PENDING",), ("NOT_SENT",)])
    def test_approved_is_booked_once(self, name: str, doubt: tuple[str, ...]) -> None:
        payment, operation = record(asked(name), *doubt, "APPROVED")
        status, event = DONE[name]
        assert (payment.status, types()) == (status, [event])
        assert (operation.verdict, operation.due_at) == ("APPROVED", None)
        assert (reserved(payment), payment.in_doubt) == ((0, 0, False), False)
        (payload,) = told(event)
        key = "refund_id" if operation.kind == "REFUND" else "operation_id"
        assert (payload[key], payload["processor"]) == (str(operation.pk), "sandbox")

    @pytest.mark.parametrize("name", [name for name in ASKED if name != "expiry"])
    @pytest.mark.parametrize(
        "outcomes",
        [("DECLINED",), ("UNKNOWN", "DECLINED"), NO_MORE],
        ids=["no", "late no", "never"],
    )
    def test_that_was_not_done_gives_everything_back(
        self, name: str, outcomes: tuple[str, ...]
    ) -> None:
        operation = asked(name)
        before = operation.payment.status
        payment, operation = record(operation, *outcomes)
        verdict = "FAILED" if outcomes is NO_MORE else "DECLINED"
        assert (operation.verdict, operation.due_at) == (verdict, None)
        assert (payment.status, reserved(payment), payment.in_doubt) == (
            before,
            (0, 0, False),
            False,
        )
        assert types() == (["Payment.Refund.Failed"] if operation.kind == "REFUND" else [])

    @pytest.mark.parametrize("name", ASKED)
    @pytest.mark.parametrize("kind", ["UNKNOWN", "PENDING", "NOT_SENT"])
    def test_that_is_open_keeps_what_it_reserved(self, name: str, kind: str) -> None:
        operation = asked(name)
        before = loaded(operation.payment)
        payment, operation = record(operation, kind, kind)
        assert (payment.status, reserved(payment)) == (before.status, reserved(before))
        assert payment.in_doubt is (kind == "UNKNOWN")
        assert operation.is_open and operation.due_at is not None
        assert types() == []

    def test_is_in_doubt_as_long_as_any_operation_is(self) -> None:
        payment = payment_in(S.CAPTURED)
        first, second = (claimed(refund(payment, 1_000)) for _ in range(2))
        for operation in (first, second):
            record(operation, "UNKNOWN")
        for operation, expected in ((first, True), (second, False)):
            record(Operation.objects.get(pk=operation.pk), "APPROVED")
            assert loaded(payment).in_doubt is expected


class TestTurn:
    def test_that_has_not_come_costs_no_send(self) -> None:
        operation = asked("final capture")
        record_outcomes(finished=[(operation, None)], now=NOW)
        operation.refresh_from_db()
        assert (operation.sends, operation.inquiries, operation.outcome) == (0, 0, "")
        assert operation.due_at == NOW + timedelta(seconds=conf.TURN_SECONDS)


class TestBatch:
    def test_of_every_kind_is_taken(self) -> None:
        finished = [(first_call(), outcome) for outcome in OUTCOMES.values()]
        record_outcomes(finished=finished, now=NOW)
        statuses = [loaded(operation.payment).status for operation, _ in finished]
        assert statuses == ["AUTHORISED", "DECLINED", "PENDING", "PENDING", "PENDING"]
        assert types() == ["Payment.Transaction.Authorised", "Payment.Transaction.Declined"]

    def test_of_one_payments_operations_is_taken(self) -> None:
        payment = payment_in(S.PARTIALLY_CAPTURED)
        operations = [
            claimed(capture(payment, 5_000, is_final=False)),
            claimed(capture(payment, None)),
            claimed(refund(payment, 10_000)),
        ]
        approved = OUTCOMES[OutcomeKind.APPROVED]
        record_outcomes(finished=[(operation, approved) for operation in operations], now=NOW)
        stored = loaded(payment)
        assert (stored.status, stored.captured_minor, stored.refunded_minor) == (
            "PARTIALLY_REFUNDED",
            25_000,
            10_000,
        )
        assert len(types()) == 3

    def test_costs_the_same_for_many_as_for_one(self) -> None:
        def statements(count: int) -> int:
            finished = [(first_call(), OUTCOMES[OutcomeKind.APPROVED]) for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                record_outcomes(finished=finished, now=NOW)
            return len(queries)

        assert statements(30) == statements(1)


class TestCircuit:
    def failures(self, outcome: Outcome, /, **facts: object) -> int:
        CircuitBreaker.objects.all().delete()
        CircuitBreaker.objects.note_silence("sandbox", 3, now=NOW)
        record_outcomes(finished=[(claimed(first_call(), **facts), outcome)], now=NOW)
        return CircuitBreaker.objects.get(processor="sandbox").failures

    @pytest.mark.parametrize("kind", OutcomeKind)
    def test_counts_silence_and_forgets_it_with_an_answer(self, kind: OutcomeKind) -> None:
        is_silence = kind in (OutcomeKind.UNKNOWN, OutcomeKind.NOT_SENT)
        assert self.failures(OUTCOMES[kind]) == (4 if is_silence else 0)

    def test_takes_never_heard_of_it_for_an_answer(self) -> None:
        assert self.failures(OUTCOMES[OutcomeKind.NOT_SENT], outcome="UNKNOWN") == 0

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            ("NOT_SENT", "circuit_open"),
            ("NOT_SENT", "resolved_by_people"),
            ("APPROVED", "resolved_by_people"),
            ("DECLINED", "token_deleted"),
            ("NOT_SENT", "instrument_not_taken"),
            ("NOT_SENT", "currency_not_taken"),
        ],
    )
    def test_learns_nothing_from_calls_that_nobody_made(self, kind: str, reason: str) -> None:
        assert self.failures(Outcome(OutcomeKind(kind), reason=reason)) == 3

    @pytest.mark.parametrize(
        ("instrument", "currency"),
        [(Bank("HDFC"), "USD"), (ProcessorToken("pm_card_visa"), "ISK")],
        ids=["instrument", "currency"],
    )
    def test_learns_nothing_from_what_a_processor_does_not_take(
        self, instrument: Instrument, currency: str
    ) -> None:
        asked = Instruction(
            kind=OperationKind.AUTHORISE,
            operation_id=new_id(),
            payment_id=new_id(),
            amount_minor=25_000,
            currency=currency,
            planned_at=NOW,
            instrument=instrument,
        )
        assert self.failures(StripeProcessor().authorise(asked)) == 3
