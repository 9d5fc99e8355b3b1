"""Calls to processors as outside work: what a dead dispatcher or a deaf processor leaves behind."""

import pytest

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import Died, FakeProcessor, die, hasten, loaded, payment_in, run
from payments.tests.use_cases.test_apply_fraud_decisions import assessment
from payments.use_cases.apply_fraud_decisions import apply_fraud_decisions
from shared import clock
from shared.event_bus import DISPATCHER, drain, operating
from shared.testing.events import publish_committed, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment() -> Payment:
    """A payment whose call is planned, and not made."""
    payment = payment_in(PaymentStatus.PENDING)
    publish_committed(assessment(payment, "APPROVE"))
    return payment


def assert_authorised_once(payment: Payment, processor: FakeProcessor) -> None:
    operation = Operation.objects.get()
    assert loaded(payment).status == "AUTHORISED"
    assert not loaded(payment).in_doubt
    assert {operation_id for _, operation_id in processor.calls} == {operation.pk}
    assert list(processor.book) == [operation.pk]
    assert len(told("Payment.Transaction.Authorised")) == 1


class TestRunOperation:
    def test_authorises(self, payment: Payment, processor: FakeProcessor) -> None:
        run()
        assert processor.verbs() == ["authorise"]
        assert_authorised_once(payment, processor)

    def test_asks_first_when_a_dispatcher_died_after_the_charge(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        processor.answers = [Died()]
        die()
        run()
        assert processor.verbs() == ["authorise", "inquire"]
        assert_authorised_once(payment, processor)

    def test_sends_again_under_the_same_id_when_it_died_before_the_charge(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        processor.is_reachable, processor.answers = False, [Died()]
        die()
        processor.is_reachable = True
        run(2)
        assert processor.verbs() == ["authorise", "inquire", "authorise"]
        assert_authorised_once(payment, processor)

    def test_fails_when_every_call_kills_its_dispatcher(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        for _ in range(conf.MAX_SENDS):
            processor.is_reachable, processor.answers = False, [Died()]
            die()
            processor.is_reachable = True
            drain(DISPATCHER)
            hasten()
        assert processor.verbs() == ["authorise", "inquire"] * conf.MAX_SENDS
        assert loaded(payment).status == "FAILED"
        assert processor.book == {}

    def test_asks_until_it_is_told(self, payment: Payment, processor: FakeProcessor) -> None:
        processor.answers = [Outcome(OutcomeKind.PENDING), *[Outcome(OutcomeKind.UNKNOWN)] * 3]
        run(4)
        assert (loaded(payment).status, loaded(payment).in_doubt) == ("PENDING", True)
        run()
        assert processor.verbs() == ["authorise"] + ["inquire"] * 4
        assert_authorised_once(payment, processor)

    def test_fails_what_did_not_arrive_five_times(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        processor.is_reachable = False
        run(7)
        assert processor.verbs() == ["authorise"] * 5
        assert loaded(payment).status == "FAILED"
        assert len(told("Payment.Transaction.Failed")) == 1

    def test_never_fails_what_the_processor_may_hold(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        # Four times it did not arrive. The fifth time it did, and the dispatcher died with the
        # answer; then the processor cannot be reached. Sending on would be a fifth "not sent".
        processor.is_reachable = False
        run(4)
        processor.is_reachable, processor.answers = True, [Died()]
        die()
        processor.is_reachable = False
        run(3)
        assert (loaded(payment).status, loaded(payment).in_doubt) == ("PENDING", True)

        processor.is_reachable = True
        run()

        assert processor.verbs()[5:] == ["inquire"] * 4
        assert_authorised_once(payment, processor)

    def test_without_asking_it_would_fail_though_the_money_is_held(
        self, payment: Payment, processor: FakeProcessor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The naive twin: only an outcome that was recorded is doubt.
        monkeypatch.setattr(Operation, "was_inquiry", Operation.is_in_doubt)
        processor.is_reachable = False
        run(4)
        processor.is_reachable, processor.answers = True, [Died()]
        die()
        processor.is_reachable = False
        processor.answers = [Outcome(OutcomeKind.NOT_SENT)]
        run()
        assert loaded(payment).status == "FAILED"
        assert len(processor.book) == 1


class TestRecord:
    def test_of_one_call_does_not_take_the_rest_of_its_batch_along(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        others = [payment_in(PaymentStatus.PENDING) for _ in range(3)]
        publish_committed(*(assessment(other, "APPROVE") for other in others))
        processor.answers = [Outcome(OutcomeKind.APPROVED, reference="not \0 text")]
        run()
        statuses = [loaded(one).status for one in (payment, *others)]
        assert sorted(statuses) == ["AUTHORISED"] * 3 + ["PENDING"]
        assert Operation.objects.filter(failures=1).count() == 1

    def test_that_never_succeeds_is_parked_and_asked_about_when_retried(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        processor.answers = [Outcome(OutcomeKind.APPROVED, reference="\0") for _ in range(5)]
        run(5)
        operation = Operation.objects.get()
        assert operation.is_parked
        assert "ValueError" in operation.last_error or "DataError" in operation.last_error

        operating.retry(Operation, [operation.pk], actor="olga", reason="fixed", now=clock.now())
        run()

        assert processor.verbs() == ["authorise"] + ["inquire"] * 5
        assert_authorised_once(payment, processor)

    def test_of_a_processor_that_is_not_registered_is_parked_and_holds_nothing(
        self, payment: Payment, processor: FakeProcessor
    ) -> None:
        plan_with_a_processor_of_the_past(payment)
        run(6)
        operation = Operation.objects.get()
        assert operation.is_parked
        assert "KeyError: 'gone'" in operation.last_error
        assert loaded(payment).status == "PENDING"
        assert processor.calls == []


def plan_with_a_processor_of_the_past(payment: Payment) -> None:
    """Plan the call with a processor that a later version no longer knows."""
    apply_fraud_decisions(decisions=[assessment(payment, "APPROVE")], now=clock.now())
    Operation.objects.update(processor="gone")
