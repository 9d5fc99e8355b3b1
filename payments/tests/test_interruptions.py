"""What a dispatcher leaves behind that dies between a call and its record (Q1-Q4)."""

from collections.abc import Callable

import pytest

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import DEADLINE, Died, FakeProcessor, die, loaded, payment_in, run
from payments.tests.use_cases.test_apply_fraud_decisions import apply, assessment
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_refund_payment import refund
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.expire_holds import expire_holds
from shared.models import Event

pytestmark = pytest.mark.django_db

S = PaymentStatus
BEGUN: dict[str, tuple[PaymentStatus, Callable[[Payment], object], str]] = {
    "authorise": (S.PENDING, lambda p: apply(assessment(p, "APPROVE")), "AUTHORISED"),
    "capture": (S.AUTHORISED, lambda p: capture(p, 10_000), "CAPTURED"),
    "void": (S.AUTHORISED, void, "VOIDED"),
    "expire": (S.PARTIALLY_CAPTURED, lambda p: expire_holds(now=DEADLINE), "CAPTURED"),
    "refund": (S.CAPTURED, lambda p: refund(p), "REFUNDED"),
}


@pytest.fixture(params=BEGUN)
def begun(request: pytest.FixtureRequest) -> tuple[Payment, str]:
    """A payment with one call planned, and what it becomes when that is done."""
    status, command, after = BEGUN[request.param]
    payment = payment_in(status)
    command(payment)
    return payment, after


def assert_done_once(payment: Payment, after: str, processor: FakeProcessor) -> None:
    operation = Operation.objects.get()
    assert list(processor.book) == [operation.pk]
    assert (loaded(payment).status, loaded(payment).in_doubt) == (after, False)
    assert operation.verdict == "APPROVED"
    moved = Event.objects.filter(event_type__startswith="Payment.")
    assert moved.count() == 1


class TestDeath:
    def test_after_the_call_makes_one_line_in_the_book(
        self, begun: tuple[Payment, str], processor: FakeProcessor
    ) -> None:
        processor.answers = [Died()]
        die()
        run()
        assert_done_once(*begun, processor)
        assert processor.verbs()[1:] == ["inquire"]

    def test_before_the_call_makes_one_line_in_the_book(
        self, begun: tuple[Payment, str], processor: FakeProcessor
    ) -> None:
        processor.is_reachable, processor.answers = False, [Died()]
        die()
        processor.is_reachable = True
        run(2)
        assert_done_once(*begun, processor)
        assert processor.verbs()[1:] == ["inquire", processor.verbs()[0]]

    def test_again_and_again_makes_one_line_in_the_book(
        self, begun: tuple[Payment, str], processor: FakeProcessor
    ) -> None:
        processor.answers = [Died() for _ in range(4)]
        for _ in range(4):
            die()
        run()
        assert_done_once(*begun, processor)
        assert processor.verbs()[1:] == ["inquire"] * 4

    def test_would_send_twice_without_asking_first(
        self,
        begun: tuple[Payment, str],
        processor: FakeProcessor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The naive twin: only an outcome that was recorded is doubt.
        monkeypatch.setattr(Operation, "was_inquiry", Operation.is_in_doubt)
        processor.answers = [Died()]
        die()
        run()
        with pytest.raises(AssertionError):
            assert processor.verbs()[1:] == ["inquire"]


class TestDoubt:
    def test_lasts_as_long_as_nobody_tells(
        self, begun: tuple[Payment, str], processor: FakeProcessor
    ) -> None:
        payment, after = begun
        before = loaded(payment)
        processor.answers = [Outcome(OutcomeKind.UNKNOWN)]
        run()
        processor.is_reachable = False
        run(3 * conf.MAX_SENDS)
        stored, operation = loaded(payment), Operation.objects.get()
        assert (stored.status, stored.in_doubt) == (before.status, True)
        assert (operation.verdict, operation.sends) == ("", 1)
        assert (stored.capturing_minor, stored.refunding_minor) == (
            before.capturing_minor,
            before.refunding_minor,
        )
        processor.is_reachable = True
        run()
        assert_done_once(payment, after, processor)
