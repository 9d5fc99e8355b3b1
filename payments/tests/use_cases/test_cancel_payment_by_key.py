"""Cancelling by key: whatever became of the request, in the end nothing is held."""

from collections.abc import Callable

import pytest

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import Outcome, OutcomeKind
from payments.models import Operation, Payment
from payments.tests.conftest import (
    NOW,
    FakeProcessor,
    accepted,
    claimed,
    loaded,
    payment_in,
    planned,
    refusal_of,
    run,
)
from payments.tests.use_cases.test_apply_fraud_decisions import apply, assessment, review
from payments.tests.use_cases.test_capture_payment import capture
from payments.tests.use_cases.test_void_payment import void
from payments.use_cases.cancel_payment_by_key import cancel_payment_by_key
from payments.use_cases.expire_holds import expire_holds
from payments.use_cases.record_outcomes import record_outcomes
from shared.identifiers import new_id
from shared.models import IdempotencyRecord
from shared.testing.events import told

pytestmark = pytest.mark.django_db

S = PaymentStatus
FAILED, VOIDED = "Payment.Transaction.Failed", "Payment.Transaction.Voided"
REFUSED = {S.PARTIALLY_CAPTURED, S.CAPTURED, S.PARTIALLY_REFUNDED, S.REFUNDED}


def cancel(payment: Payment) -> Payment | None:
    return cancel_payment_by_key(
        merchant_id=payment.merchant_id,
        cancel_key=payment.idempotency_key,
        idempotency_key=str(new_id()),
        now=NOW,
    )


def sent(**changes: object) -> tuple[Payment, Operation]:
    """A payment whose authorisation a dispatcher has claimed."""
    payment = payment_in(S.PENDING, **changes)
    return payment, planned(payment)


def becomes(payment: Payment, operation: Operation, *outcomes: Outcome) -> Payment:
    """The payment after outcomes of its authorisation, and whatever follows."""
    for outcome in outcomes:
        record_outcomes(finished=[(operation, outcome)], now=NOW)
        operation = Operation.objects.get(pk=operation.pk)
    run()
    return loaded(payment)


class TestOfWhatWasNotSent:
    @pytest.mark.parametrize("until", ["accepted", "in review", "approved after review", "planned"])
    def test_fails_it_for_good(self, processor: FakeProcessor, until: str) -> None:
        payment = accepted()
        steps: dict[str, list[Callable[..., object]]] = {
            "accepted": [],
            "in review": [lambda: apply(assessment(payment, "REVIEW"))],
            "approved after review": [
                lambda: apply(assessment(payment, "REVIEW")),
                lambda: apply(review(payment, "APPROVE")),
            ],
            "planned": [lambda: apply(assessment(payment, "APPROVE"))],
        }
        for step in steps[until]:
            step()

        cancel(payment)
        apply(assessment(payment, "APPROVE"))
        apply(review(payment, "APPROVE"))
        run()

        stored = loaded(payment)
        assert (stored.status, stored.failure_reason) == ("FAILED", "cancelled")
        assert [event["reason"] for event in told(FAILED)] == ["cancelled"]
        assert processor.calls == []

    def test_can_be_repeated(self) -> None:
        payment = accepted()
        for _ in range(3):
            found = cancel(payment)
            assert found is not None
            assert found.status == "FAILED"
        assert len(told(FAILED)) == 1


class TestOfWhatWasSent:
    def test_voids_it_as_soon_as_it_is_authorised(self, processor: FakeProcessor) -> None:
        for doubt in ((), (Outcome(OutcomeKind.UNKNOWN),), (Outcome(OutcomeKind.PENDING),)):
            payment, operation = sent(captures_at_once=True)
            cancel(payment)
            assert (loaded(payment).status, loaded(payment).cancel_requested_at) == ("PENDING", NOW)
            approved = Outcome(OutcomeKind.APPROVED, "ref-9")
            after = becomes(payment, operation, *doubt, approved)
            assert (after.status, after.captured_minor) == ("VOIDED", 0)
            assert processor.asked[-1].authorisation_reference == "ref-9"
        assert processor.verbs() == ["void"] * 3
        assert len(told(VOIDED)) == 3

    @pytest.mark.parametrize(
        ("outcomes", "status", "reason"),
        [
            ([Outcome(OutcomeKind.NOT_SENT)], "FAILED", "cancelled"),
            ([Outcome(OutcomeKind.UNKNOWN), Outcome(OutcomeKind.NOT_SENT)], "FAILED", "cancelled"),
            ([Outcome(OutcomeKind.DECLINED, reason="stolen_card")], "DECLINED", "stolen_card"),
        ],
        ids=["not sent", "doubt, then not sent", "declined"],
    )
    def test_asks_nobody_else(
        self,
        processor: FakeProcessor,
        backup: FakeProcessor,
        outcomes: list[Outcome],
        status: str,
        reason: str,
    ) -> None:
        payment, operation = sent()
        cancel(payment)
        after = becomes(payment, operation, *outcomes)
        assert (after.status, after.failure_reason or after.decline_reason) == (status, reason)
        # What was in doubt may still arrive: whoever may have it is asked about it later.
        looks = ["inquire"] if outcomes[0].kind == OutcomeKind.UNKNOWN else []
        assert (backup.verbs(), processor.verbs()) == ([], looks)

    def test_finds_one_that_is_being_claimed_sent(self) -> None:
        payment, operation = sent()
        claimed(operation, attempts=1)
        cancel(payment)
        assert loaded(payment).cancel_requested_at == NOW
        assert Operation.objects.get().is_open


class TestOfWhatIsDecided:
    @pytest.mark.parametrize("status", list(S)[2:])
    def test_voids_what_is_held_and_refuses_what_was_captured(
        self, processor: FakeProcessor, status: PaymentStatus
    ) -> None:
        payment = payment_in(status)
        refused = refusal_of(lambda: cancel(payment))
        run()
        assert refused == ("payment_not_voidable" if status in REFUSED else "")
        assert loaded(payment).status == ("VOIDED" if status == S.AUTHORISED else status)

    @pytest.mark.parametrize("release", ["void", "expiry", "cancel"])
    def test_is_content_with_a_release_that_is_in_flight(
        self, processor: FakeProcessor, release: str
    ) -> None:
        payment = payment_in(S.AUTHORISED)
        releases: dict[str, Callable[[], object]] = {
            "void": lambda: void(payment),
            "expiry": lambda: expire_holds(now=payment.capture_before or NOW),
            "cancel": lambda: cancel(payment),
        }
        releases[release]()
        found = cancel(payment)
        assert found is not None and not found.is_at_rest
        assert Operation.objects.count() == 1

    @pytest.mark.parametrize("at_once", [True, False])
    def test_is_refused_while_a_capture_is_in_flight(self, at_once: bool) -> None:
        payment = payment_in(S.AUTHORISED, captures_at_once=at_once)
        capture(payment)
        assert refusal_of(lambda: cancel(payment)) == "payment_not_voidable"


class TestOfAKey:
    def test_that_nobody_used_burns_it(self) -> None:
        stranger = Payment(merchant_id=new_id(), idempotency_key="never-used")
        for _ in range(2):
            assert cancel(stranger) is None
        record = IdempotencyRecord.objects.get()
        assert (record.merchant_id, record.key) == (stranger.merchant_id, "never-used")

    def test_of_another_merchants_payment_is_one_that_nobody_used(self) -> None:
        payment = payment_in(S.AUTHORISED)
        stranger = Payment(merchant_id=new_id(), idempotency_key=payment.idempotency_key)
        assert cancel(stranger) is None
        assert not Operation.objects.exists()

    def test_that_made_something_else_is_refused(self) -> None:
        stranger = Payment(merchant_id=new_id(), idempotency_key="rotate")
        IdempotencyRecord.objects.create(
            merchant_id=stranger.merchant_id, key="rotate", fingerprint=b"x", expires_at=NOW
        )
        assert refusal_of(lambda: cancel(stranger)) == "key_used_elsewhere"

    def test_of_a_payment_is_not_burnt(self) -> None:
        cancel(payment_in(S.AUTHORISED))
        assert not IdempotencyRecord.objects.exists()
