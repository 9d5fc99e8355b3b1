"""Preparing calls: what each needs, whose turn it is, and what an open circuit holds back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Bank, OutcomeKind, ProcessorToken
from payments.models import CircuitBreaker, Operation
from payments.tests.conftest import NOW, FakeProcessor, claimed, payment_in, planned, run
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.prepare_calls import Call, prepare_calls

pytestmark = pytest.mark.django_db

GONE = "tok_" + "a" * 32
"""A token as the vault names them, and nothing stands for it."""
LATER = NOW + timedelta(seconds=conf.BREAKER_PAUSE_SECONDS)


def prepared(*operations: Operation, at: Any = NOW) -> list[Call]:
    return prepare_calls(operations=operations, now=at)


def asked(**changes: Any) -> Operation:
    """An authorisation that was claimed for the first time."""
    return planned(payment_in(PaymentStatus.PENDING, **changes))


def open_circuit() -> None:
    CircuitBreaker.objects.note_silence("sandbox", conf.BREAKER_FAILURES, now=NOW)


class TestInstruction:
    def test_carries_what_its_verb_needs(self) -> None:
        authorisation = asked(currency="JPY", amount_minor=7, return_url="https://shop.example")
        void_operation = claimed(void(payment_in(PaymentStatus.AUTHORISED)))
        first, second = (call.instruction for call in prepared(authorisation, void_operation))
        assert (first.kind, first.amount_minor, first.currency) == ("AUTHORISE", 7, "JPY")
        assert (first.operation_id, first.return_url) == (authorisation.pk, "https://shop.example")
        assert first.instrument == ProcessorToken("tok_test")
        assert first.planned_at == authorisation.created_at
        assert (second.kind, second.amount_minor) == ("VOID", 25_000)
        assert (second.authorisation_reference, second.instrument) == ("ref_1", None)

    def test_names_the_bank(self) -> None:
        payer = {
            "method_type": "NETBANKING",
            "method_token": "",
            "return_url": "https://shop.example",
        }
        (call,) = prepared(asked(**payer, method_details={"bankCode": "HDFC"}))
        assert call.instruction.instrument == Bank("HDFC")

    def test_costs_the_same_for_a_batch_as_for_one(self) -> None:
        def statements(count: int) -> int:
            operations = [asked() for _ in range(count)]
            with CaptureQueriesContext(connection) as queries:
                prepared(*operations)
            return len(queries)

        assert statements(20) == statements(1)


class TestDeletedToken:
    def test_is_declined_without_a_call(self) -> None:
        (call,) = prepared(asked(method_token=GONE))
        assert call.answer is not None
        assert (call.answer.kind, call.answer.reason) == (OutcomeKind.DECLINED, "token_deleted")

    def test_is_no_reason_not_to_ask_about_doubt(self) -> None:
        doubtful = claimed(asked(method_token=GONE), outcome="UNKNOWN", ended=1, attempts=2)
        (call,) = prepared(doubtful)
        assert call.answer is None


class TestTurn:
    def test_of_a_final_capture_comes_after_the_captures_before_it(
        self, processor: FakeProcessor
    ) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        part = claimed(capture(payment, 5_000, is_final=False))
        final = claimed(capture(payment, None, is_final=True))
        assert [call.is_its_turn for call in prepared(part, final)] == [True, False]

    def test_makes_it_wait_without_a_call_until_they_are_done(
        self, processor: FakeProcessor
    ) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        first = capture(payment, 5_000, is_final=False)
        last = capture(payment, 10_000, is_final=True)
        run()
        assert processor.calls == [("capture", first.pk)]
        waiting = Operation.objects.get(pk=last.pk)
        assert (waiting.sends, waiting.outcome, waiting.due_at is None) == (0, "", False)
        run()
        assert processor.calls == [("capture", first.pk), ("capture", last.pk)]
        payment.refresh_from_db()
        assert (payment.status, payment.captured_minor) == ("CAPTURED", 15_000)
        assert payment.released_minor == 10_000

    def test_is_not_waited_for_by_anything_else(self) -> None:
        payment = payment_in(PaymentStatus.AUTHORISED)
        parts = [claimed(capture(payment, 5_000, is_final=False)) for _ in range(3)]
        assert all(call.is_its_turn for call in prepared(*parts))


class TestOpenCircuit:
    def test_answers_instead_of_the_processor(self) -> None:
        open_circuit()
        for call in prepared(*(asked() for _ in range(3))):
            assert call.answer is not None
            assert (call.answer.kind, call.answer.reason) == (OutcomeKind.NOT_SENT, "circuit_open")

    def test_lets_inquiries_through(self) -> None:
        open_circuit()
        (call,) = prepared(claimed(asked(), outcome="UNKNOWN"))
        assert call.answer is None

    def test_lets_one_of_a_batch_try_after_its_pause(self) -> None:
        open_circuit()
        calls = prepared(*(asked() for _ in range(3)), at=LATER)
        assert [call.answer is None for call in calls] == [True, False, False]
        assert [call.answer is None for call in prepared(asked(), at=LATER)] == [False]

    def test_of_one_processor_holds_no_other_back(self) -> None:
        open_circuit()
        other = claimed(asked(), processor="sandbox-backup")
        assert [call.answer is None for call in prepared(asked(), other)] == [False, True]
