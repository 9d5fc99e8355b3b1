"""What may become of a payment: every verb in every status, and the amounts it moves (M5-M8)."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments import conf
from payments.domain.lifecycle import PaymentStatus
from payments.models import Payment
from payments.models.payment import PaymentNotVoidable
from payments.tests.conftest import DEADLINE, NOW, VERBS, loaded, payment_in
from shared.errors import DomainError
from shared.postgres.batches import RowsChangedMeanwhile
from shared.testing.refusals import violated, without_trigger

pytestmark = pytest.mark.django_db

P, R, A, PC, C, PR, REFUNDED, VOIDED, EXPIRED, D, F = PaymentStatus

MEANT: dict[tuple[PaymentStatus, str], PaymentStatus] = {
    (P, "pass_assessment"): P,
    (P, "hold_for_review"): R,
    (P, "authorise"): A,
    (P, "decline"): D,
    (P, "fail"): F,
    (P, "send_payer_to"): P,
    (P, "request_cancel"): P,
    (R, "pass_assessment"): P,
    (R, "decline"): D,
    (A, "capture_a_part"): PC,
    (A, "capture_finally"): C,
    (A, "void"): VOIDED,
    (A, "expire"): EXPIRED,
    (PC, "capture_a_part"): PC,
    (PC, "capture_finally"): C,
    (PC, "void"): C,
    (PC, "expire"): C,
    (PC, "refund_a_part"): PC,
    (PC, "refund_all"): PC,
    (C, "refund_a_part"): PR,
    (C, "refund_all"): REFUNDED,
    (PR, "refund_a_part"): REFUNDED,
    (PR, "refund_all"): REFUNDED,
}
"""What every verb makes of a status; what is not listed is refused."""
MUTATORS = {
    *("pass_assessment", "hold_for_review", "authorise", "decline", "fail", "send_payer_to"),
    *("request_cancel", "note_doubt", "reserve_capture", "capture", "give_back_capture"),
    "reserve_capture_at_once",
    *("reserve_release", "release", "give_back_release"),
    *("reserve_refund", "refund", "give_back_refund"),
}


def refusal_of(status: PaymentStatus, verb: str) -> str:
    """The code with which a status refuses a verb."""
    if verb.startswith("capture"):
        return "already_captured" if status in (C, PR, REFUNDED) else "payment_not_capturable"
    if verb.startswith("refund"):
        return "refund_exceeds_captured" if status == REFUNDED else "payment_not_refundable"
    return "payment_not_voidable" if verb in ("void", "expire") else "transition_not_allowed"


def amounts(payment: Payment) -> dict[str, int]:
    """Everything that is counted of a payment, but for what is nothing."""
    names = ("captured", "capturing", "released", "refunded", "refunding")
    found = {name: getattr(payment, f"{name}_minor") for name in names}
    return {name: minor for name, minor in found.items() if minor}


def refusal(payment: Payment, verb: str, *arguments: Any, **options: Any) -> str:
    """The code with which a mutator refuses."""
    with pytest.raises(DomainError) as refused:
        getattr(payment, verb)(*arguments, **options, now=NOW)
    return refused.value.code


class TestVerbs:
    @pytest.mark.parametrize("status", PaymentStatus)
    def test_do_what_is_meant_and_nothing_else(self, status: PaymentStatus) -> None:
        for verb in VERBS:
            payment = payment_in(status)
            before = Payment.objects.filter(pk=payment.pk).values().get()
            if (status, verb) in MEANT:
                VERBS[verb](payment)
                Payment.objects.write([payment])
                assert loaded(payment).status == MEANT[status, verb], verb
            else:
                with pytest.raises(DomainError) as refused:
                    VERBS[verb](payment)
                assert refused.value.code == refusal_of(status, verb), verb
                Payment.objects.write([payment])
                after = Payment.objects.filter(pk=payment.pk).values().get()
                assert after | {"updated_at": NOW} == before | {"updated_at": NOW}, verb

    def test_are_all_of_them(self) -> None:
        found = {
            name
            for name, value in vars(Payment).items()
            if callable(value) and "now" in getattr(value, "__annotations__", {})
        }
        readers = {"can_be_captured", "facts", "_become", "_note_assessment"}
        assert found - readers == MUTATORS

    def test_note_when_fraud_first_decided(self) -> None:
        payment = payment_in(R)
        payment.pass_assessment(now=NOW + timedelta(hours=1))
        assert payment.assessed_at == NOW
        assert not payment.awaits_assessment

    def test_send_the_payer_and_call_him_back_once_it_is_decided(self) -> None:
        for verb in ("authorise", "decline", "fail"):
            payment = payment_in(P)
            VERBS["send_payer_to"](payment)
            assert payment.awaits_payer
            assert (payment.redirect_url, payment.redirect_expires_at) == (
                "https://bank.example/1",
                DEADLINE,
            )
            VERBS[verb](payment)
            Payment.objects.write([payment])
            stored = loaded(payment)
            assert (stored.awaits_payer, stored.redirect_url) == (False, "")

    def test_authorise_the_whole_amount_for_as_long_as_was_asked_and_no_longer(self) -> None:
        hold = timedelta(days=conf.HOLD_DAYS)
        for asked, given_ in (
            (None, NOW + hold),
            (NOW + timedelta(hours=1), NOW + timedelta(hours=1)),
            (NOW + 2 * hold, NOW + hold),
        ):
            stored = payment_in(A, capture_before=asked)
            assert (stored.authorised_minor, stored.authorised_at) == (25_000, NOW)
            assert (stored.processor, stored.processor_reference) == ("sandbox", "ref_1")
            assert stored.capture_before == given_


class TestCapture:
    def test_reserves_takes_and_releases_the_rest(self) -> None:
        payment = payment_in(A)
        assert payment.reserve_capture(10_000, is_final=True, now=NOW) == 10_000
        assert (amounts(payment), payment.is_closing) == ({"capturing": 10_000}, True)
        assert payment.capture(10_000, is_final=True, now=NOW) == 15_000
        assert amounts(payment) == {"captured": 10_000, "released": 15_000}
        assert (payment.status, payment.is_closing, payment.captured_at) == (C, False, NOW)

    def test_takes_all_that_is_free_by_default(self) -> None:
        payment = payment_in(PC)
        payment.reserve_capture(1_000, is_final=False, now=NOW)
        assert payment.reserve_capture(None, is_final=False, now=NOW) == 14_000
        refused = refusal(payment, "reserve_capture", None, is_final=False)
        assert refused == "capture_exceeds_authorisation"

    def test_of_everything_in_parts_ends_the_hold_without_a_final_one(self) -> None:
        payment = payment_in(PC)
        payment.reserve_capture(None, is_final=False, now=NOW)
        assert payment.capture(15_000, is_final=False, now=NOW) == 0
        assert (payment.status, amounts(payment)) == (C, {"captured": 25_000})

    @pytest.mark.parametrize("amount_minor", [-1, 0, 15_001, 25_000])
    def test_refuses_what_is_not_held(self, amount_minor: int) -> None:
        refused = refusal(payment_in(PC), "reserve_capture", amount_minor, is_final=False)
        assert refused == "capture_exceeds_authorisation"

    def test_is_over_when_its_time_is(self) -> None:
        payment = payment_in(A)
        assert payment.can_be_captured(DEADLINE - timedelta(microseconds=1))
        assert not payment.can_be_captured(DEADLINE)

    def test_follows_no_final_one_that_is_in_flight(self) -> None:
        payment = payment_in(A)
        payment.reserve_capture(10_000, is_final=True, now=NOW)
        for is_final, amount in product((True, False), (None, 1)):
            refused = refusal(payment, "reserve_capture", amount, is_final=is_final)
            assert refused == "capture_exceeds_authorisation"
        assert payment.is_closing

    def test_that_was_not_done_gives_everything_back(self) -> None:
        for is_final in (True, False):
            payment = payment_in(A)
            payment.reserve_capture(10_000, is_final=is_final, now=NOW)
            payment.give_back_capture(10_000, is_final=is_final, now=NOW)
            assert (amounts(payment), payment.is_closing) == ({}, False)

    def test_that_is_not_final_opens_no_hold_that_a_final_one_closed(self) -> None:
        payment = payment_in(A)
        payment.reserve_capture(1_000, is_final=False, now=NOW)
        payment.reserve_capture(10_000, is_final=True, now=NOW)
        payment.give_back_capture(1_000, is_final=False, now=NOW)
        assert payment.is_closing


class TestRelease:
    @pytest.mark.parametrize("ended_as", [VOIDED, EXPIRED])
    def test_lets_go_of_what_is_held(self, ended_as: PaymentStatus) -> None:
        for status, released, after in ((A, 25_000, ended_as), (PC, 15_000, C)):
            payment = payment_in(status)
            payment.reserve_release(now=NOW)
            assert not payment.can_be_captured(NOW)
            assert payment.release(ended_as, now=NOW) == released
            assert (payment.status, payment.held_minor, payment.is_closing) == (after, 0, False)

    @pytest.mark.parametrize(
        ("refunded", "after"), [(4_000, PR), (10_000, REFUNDED)], ids=["part", "all"]
    )
    def test_after_refunds_follows_the_amounts(self, refunded: int, after: PaymentStatus) -> None:
        payment = payment_in(PC)
        payment.refund(payment.reserve_refund(refunded, now=NOW), now=NOW)
        assert payment.status == PC
        payment.reserve_release(now=NOW)
        payment.release(VOIDED, now=NOW)
        Payment.objects.write([payment])
        assert loaded(payment).status == after

    def test_waits_for_captures_and_is_reserved_once(self) -> None:
        capturing, closing = payment_in(A), payment_in(A)
        capturing.reserve_capture(1, is_final=False, now=NOW)
        closing.reserve_release(now=NOW)
        for payment in (capturing, closing):
            with pytest.raises(PaymentNotVoidable):
                payment.reserve_release(now=NOW)

    def test_that_was_not_done_leaves_the_hold_as_it_was(self) -> None:
        payment = payment_in(A)
        payment.reserve_release(now=NOW)
        payment.give_back_release(now=NOW)
        assert payment.reserve_capture(None, is_final=True, now=NOW) == 25_000


class TestRefund:
    def test_reserves_and_gives_back(self) -> None:
        payment = payment_in(C)
        assert payment.reserve_refund(4_000, now=NOW) == 4_000
        assert payment.reserve_refund(None, now=NOW) == 6_000
        assert refusal(payment, "reserve_refund", None) == "refund_exceeds_captured"
        payment.refund(4_000, now=NOW)
        assert payment.status == PR
        payment.give_back_refund(6_000, now=NOW)
        assert amounts(payment) == {"captured": 10_000, "released": 15_000, "refunded": 4_000}

    @pytest.mark.parametrize("amount_minor", [-1, 0, 5_001, 10_000])
    def test_refuses_what_was_not_captured(self, amount_minor: int) -> None:
        refused = refusal(payment_in(PR), "reserve_refund", amount_minor)
        assert refused == "refund_exceeds_captured"

    def test_in_small_parts_stays_partly_refunded_until_the_last(self) -> None:
        payment, statuses = payment_in(C), []
        for part in (3_000, 3_000, 4_000):
            payment.refund(payment.reserve_refund(part, now=NOW), now=NOW)
            statuses.append(payment.status)
        assert statuses == [PR, PR, REFUNDED]


class TestEverySequence:
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["capture", "capture", "refund", "refund", "release"]),
                st.integers(1, 15_000),
                st.booleans(),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    def test_keeps_refunded_within_captured_within_authorised(
        self, steps: list[tuple[str, int, bool, bool]]
    ) -> None:
        payment = payment_in(A)
        for verb, amount, is_final, is_done in steps:
            try:
                self.step(payment, verb, amount, is_final=is_final, is_done=is_done)
            except DomainError:
                continue
            Payment.objects.write([payment])  # the constraints look, too
            assert 0 <= payment.refunded_minor <= payment.captured_minor
            assert payment.captured_minor + payment.released_minor + payment.held_minor == 25_000
            assert payment.held_minor >= 0

    def step(
        self, payment: Payment, verb: str, amount: int, *, is_final: bool, is_done: bool
    ) -> None:
        if verb == "capture":
            payment.reserve_capture(amount, is_final=is_final, now=NOW)
            end = payment.capture if is_done else payment.give_back_capture
            end(amount, is_final=is_final, now=NOW)
        elif verb == "refund":
            payment.reserve_refund(amount, now=NOW)
            (payment.refund if is_done else payment.give_back_refund)(amount, now=NOW)
        else:
            payment.reserve_release(now=NOW)
            if is_done:
                payment.release(VOIDED, now=NOW)
            else:
                payment.give_back_release(now=NOW)


class TestDecided:
    def test_is_all_but_what_awaits_somebody_or_its_capture_at_once(self) -> None:
        assert {status for status in PaymentStatus if not payment_in(status).is_decided} == {P, R}
        at_once = payment_in(A, captures_at_once=True)
        assert at_once.is_decided
        at_once.reserve_capture_at_once(now=NOW)
        assert not at_once.is_decided

    @pytest.mark.parametrize("is_final", [True, False])
    def test_stays_whatever_is_captured_after_its_capture_at_once_was_refused(
        self, is_final: bool
    ) -> None:
        payment = payment_in(A, captures_at_once=True)
        amount_minor = payment.reserve_capture_at_once(now=NOW)
        payment.give_back_capture(amount_minor, is_final=True, now=NOW)
        assert payment.is_decided
        payment.reserve_capture(1_000, is_final=is_final, now=NOW)
        assert payment.is_decided

    def test_is_at_rest_once_nothing_is_to_be_released(self) -> None:
        payment = payment_in(P)
        payment.request_cancel(now=NOW)
        assert not payment.is_at_rest
        VERBS["authorise"](payment)
        payment.reserve_release(now=NOW)
        assert not payment.is_at_rest
        payment.release(VOIDED, now=NOW)
        assert payment.is_at_rest

    def test_is_at_rest_when_its_processor_would_not_release_it(self) -> None:
        payment = payment_in(P)
        payment.request_cancel(now=NOW)
        VERBS["authorise"](payment)
        payment.reserve_release(now=NOW)
        payment.give_back_release(now=NOW)
        assert payment.is_at_rest


class TestWrite:
    def stale_after_decline(self) -> Payment:
        payment = payment_in(P)
        stale = loaded(payment)
        VERBS["decline"](payment)
        Payment.objects.write([payment])
        VERBS["authorise"](stale)
        return stale

    def test_refuses_a_payment_that_changed_meanwhile(self) -> None:
        stale = self.stale_after_decline()
        with pytest.raises(RowsChangedMeanwhile):
            Payment.objects.write([stale])
        assert loaded(stale).status == D

    def test_without_guard_and_trigger_a_late_approval_would_pass(self) -> None:
        # The naive twin: the lifecycle in Python only, which a stale object knows nothing of.
        stale = self.stale_after_decline()
        with without_trigger("payments.payment", "payment_lifecycle"):
            stale.save(using="owner")
            assert Payment.objects.using("owner").get(pk=stale.pk).status == A

    def test_without_the_guard_the_trigger_still_refuses(self) -> None:
        assert violated(self.stale_after_decline().save) == "payment_transition_is_listed"

    def test_takes_a_batch_in_one_statement(self) -> None:
        payments = [payment_in(P, amount_minor=amount) for amount in (1, 200, 30_000)]
        for payment, verb in zip(payments, ("authorise", "decline", "send_payer_to"), strict=True):
            VERBS[verb](payment)

        with CaptureQueriesContext(connection) as queries:
            Payment.objects.write(payments)

        assert len(queries) == 1
        first, second, third = (loaded(payment) for payment in payments)
        assert (first.status, first.authorised_minor) == (A, 1)
        assert (second.status, second.decline_reason) == (D, "do_not_honor")
        assert (third.status, third.awaits_payer) == (P, True)

    def test_can_be_repeated_by_whoever_wrote(self) -> None:
        payment = payment_in(P)
        for verb in ("hold_for_review", "decline"):
            VERBS[verb](payment)
            Payment.objects.write([payment])
        assert loaded(payment).status == D

    def test_writes_all_of_a_batch_or_nothing(self) -> None:
        fresh, changed = payment_in(P), payment_in(P)
        Payment.objects.filter(pk=changed.pk).update(status=F)
        for payment in (fresh, changed):
            VERBS["authorise"](payment)
        with pytest.raises(RowsChangedMeanwhile), transaction.atomic():
            Payment.objects.write([fresh, changed])
        assert (loaded(fresh).status, loaded(changed).status) == (P, F)
