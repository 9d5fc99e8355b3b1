"""What was given up and done after all: found, then reversed or booked, and never lost sight of."""

import pytest

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import FakeProcessor, claimed, loaded, payment_in, planned, run
from payments.tests.use_cases.test_cancel_payment_by_key import cancel
from payments.tests.use_cases.test_confirm_resolution import agreed
from payments.tests.use_cases.test_draw_consequences import CAPTURED, DECLINED, UNKNOWN, given_up
from payments.tests.use_cases.test_hear_processor import hear
from payments.tests.use_cases.test_prepare_calls import GONE
from payments.tests.use_cases.test_record_outcomes import asked, record
from payments.tests.use_cases.test_void_payment import void
from shared.testing.events import told

pytestmark = pytest.mark.django_db

S = PaymentStatus
LATE = Outcome(OutcomeKind.APPROVED, "late-1")


def again(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


class TestHeardTwice:
    def test_is_reversed_and_not_booked_as_well(self, processor: FakeProcessor) -> None:
        late = given_up(asked("capture"))
        release = claimed(void(late.payment))
        record(late, "APPROVED")
        record(release, "DECLINED")  # some of the hold was captured, as we know by now
        payment, late = record(again(late), "APPROVED")
        assert (payment.status, payment.captured_minor) == ("AUTHORISED", 0)
        assert (late.verdict, told(CAPTURED)) == ("FAILED", [])
        run()
        reversal = Operation.objects.get(reverses=late)
        assert (reversal.verdict, reversal.amount_minor) == ("APPROVED", 10_000)
        assert processor.verbs() == ["refund"]

    def test_is_booked_and_nobody_is_asked_again(self, processor: FakeProcessor) -> None:
        _, late = record(given_up(asked("capture")), "APPROVED")
        claimed(late, ended=1)
        hear(late.pk)
        run()
        assert (loaded(late.payment).captured_minor, len(told(CAPTURED))) == (10_000, 1)
        assert processor.calls == []
        assert not Operation.objects.filter(purpose="REVERSAL").exists()


def cancelled() -> Operation:
    """An authorisation in doubt that was cancelled, and that the processor never heard of."""
    operation = planned(payment_in(S.PENDING))
    record(operation, "UNKNOWN")
    cancel(operation.payment)
    payment, operation = record(again(operation), "NOT_SENT")
    assert (payment.status, payment.failure_reason) == ("FAILED", "cancelled")
    return operation


def without_token() -> Operation:
    """An authorisation in doubt, not found, and not sent again: its token was deleted."""
    payment = payment_in(S.PENDING, method_token=GONE)
    operation = claimed(planned(payment), outcome="UNKNOWN", sends=1, ended=1)
    run(2)
    assert (loaded(payment).status, loaded(payment).decline_reason) == ("DECLINED", "token_deleted")
    return again(operation)


ENDED = {"cancelled": cancelled, "token deleted": without_token}


@pytest.mark.parametrize("end", ENDED)
class TestDoubtThatWasEnded:
    def test_is_still_looked_at_and_released_when_it_was_done(
        self, processor: FakeProcessor, end: str
    ) -> None:
        operation = ENDED[end]()
        before = loaded(operation.payment)
        processor.calls.clear()
        processor.book[operation.pk] = LATE
        run(2)
        assert processor.verbs() == ["inquire", "void"]
        assert processor.asked[-1].authorisation_reference == "late-1"
        assert Operation.objects.get(reverses=operation).verdict == "APPROVED"
        assert loaded(operation.payment).status == before.status

    def test_is_looked_at_as_often_as_any_other(self, processor: FakeProcessor, end: str) -> None:
        operation = ENDED[end]()
        before = Payment.objects.values().get()
        processor.calls.clear()
        run(len(conf.LATE_LOOK_SECONDS) + 2)
        assert processor.verbs() == ["inquire"] * len(conf.LATE_LOOK_SECONDS)
        assert Payment.objects.values().get() == before
        assert again(operation).due_at is None


class TestReversalThatIsDeclined:
    def declined(self, processor: FakeProcessor, *answers: Outcome) -> Operation:
        record(given_up(planned(payment_in(S.PENDING))), "APPROVED")
        processor.answers = [*answers, DECLINED]
        run(len(answers) + 1)
        return Operation.objects.get(purpose="REVERSAL")

    @pytest.mark.parametrize("before", [(), (UNKNOWN,)], ids=["at once", "after a doubt"])
    def test_waits_for_people(self, processor: FakeProcessor, before: tuple[Outcome, ...]) -> None:
        reversal = self.declined(processor, *before)
        assert (reversal.outcome, reversal.reason) == ("DECLINED", "do_not_honor")
        assert (reversal.is_parked, reversal.needs_people) == (True, True)
        assert (reversal.is_open, reversal.due_at) == (True, None)
        run(3)
        assert len(processor.calls) == 1 + len(before)

    @pytest.mark.parametrize("verdict", ["APPROVED", "FAILED"])
    def test_is_ended_by_two_people(self, processor: FakeProcessor, verdict: str) -> None:
        reversal = self.declined(processor)
        reference = "void-1" if verdict == "APPROVED" else ""
        payment, ended = agreed(reversal, verdict, reference)
        assert (ended.verdict, ended.reason) == (verdict, "resolved_by_people")
        assert (ended.is_parked, ended.needs_people, ended.due_at) == (False, False, None)
        assert (payment.status, payment.in_doubt) == ("FAILED", False)
        run(3)
        assert processor.verbs() == ["void"]


class TestAnythingElseThatIsDeclined:
    def test_needs_nobody(self, processor: FakeProcessor) -> None:
        _, declined = record(asked("void"), "DECLINED")
        assert (declined.verdict, declined.is_parked) == ("DECLINED", False)
