"""Payments, operations and resolutions in the admin."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User

from payments.domain.lifecycle import PaymentStatus
from payments.domain.processor import OutcomeKind
from payments.models import (
    Operation,
    Payment,
    Resolution,
    StatusChange,
    Token,
)
from payments.tests.conftest import (
    FakeProcessor,
    accepted,
    demand,
    loaded,
    payment_in,
    planned,
)
from payments.use_cases.capture_payment import capture_payment
from payments.use_cases.store_token import store_token
from shared import clock
from shared.event_bus import drain
from shared.identifiers import new_id
from shared.testing.api import payment_body, registered_merchant
from shared.testing.events import told
from shared.testing.operators import (
    OperatorClient,
    address,
    refuses_changes,
    text,
    withstands_hostile_terms,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> OperatorClient:
    return OperatorClient()


@pytest.fixture
def payment() -> Payment:
    answer = registered_merchant().post(
        "/payments", payment_body(amount="1234.5", currency="KWD", description="<i>shoes</i>")
    )
    drain()
    return Payment.objects.get(pk=UUID(answer.json()["paymentId"]))


@pytest.fixture
def colleague() -> OperatorClient:
    return OperatorClient(User.objects.create_superuser("pieter"))


@pytest.fixture
def capture() -> Operation:
    """A capture of 100.00 out of 250.00 whose outcome is unknown."""
    authorised = payment_in(PaymentStatus.AUTHORISED, captures_at_once=False)
    Payment.objects.filter(pk=authorised.pk).update(capture_before=clock.now() + timedelta(days=7))
    wish = demand(authorised)
    operation = capture_payment(demand=wish, amount_minor=10_000, is_final=True, now=clock.now())
    return in_doubt(operation)


@pytest.fixture
def authorisation() -> Operation:
    """A call to hold 250.00 whose outcome is unknown."""
    return in_doubt(planned(accepted()))


def in_doubt(operation: Operation) -> Operation:
    Operation.objects.filter(pk=operation.pk).update(
        outcome=OutcomeKind.UNKNOWN, attempts=1, ended=1
    )
    Payment.objects.filter(pk=operation.payment_id).update(in_doubt=True)
    return Operation.objects.get(pk=operation.pk)


def done(operator: OperatorClient, *operations: Operation, **given: str) -> str:
    """Say that operations were done; what the next page says."""
    answer = operator.client.post(
        address(Operation, "changelist"),
        {
            ACTION_CHECKBOX_NAME: [str(operation.pk) for operation in operations],
            "action": "it_was_done",
            "confirmed": "yes",
            "reason": "their dashboard shows it",
            **given,
        },
        follow=True,
    )
    return text(answer)


def actions_told() -> list[tuple[str, str]]:
    return [(action["actor"], action["action"]) for action in told("Operator.Action.Taken")]


class TestPaymentAdmin:
    def test_shows_amounts_with_the_currencys_decimals(
        self, operator: OperatorClient, payment: Payment
    ) -> None:
        assert "1234.500 KWD" in text(operator.list(Payment))
        page = operator.page(payment).content.decode()
        assert "1234.500 KWD" in page
        assert "&lt;i&gt;shoes&lt;/i&gt;" in page

    def test_finds_by_id_merchant_and_key(self, operator: OperatorClient, payment: Payment) -> None:
        for term in (str(payment.pk), "acme", payment.idempotency_key, str(payment.correlation_id)):
            assert operator.list(Payment, q=term).context["cl"].result_count == 1
        assert operator.list(Payment, q="nobody").context["cl"].result_count == 0

    def test_filters_by_status(self, operator: OperatorClient, payment: Payment) -> None:
        found = operator.list(Payment, status__exact=payment.status)
        assert found.context["cl"].result_count == 1
        assert operator.list(Payment, status__exact="FAILED").context["cl"].result_count == 0

    def test_leads_to_the_story(self, operator: OperatorClient, payment: Payment) -> None:
        page = text(operator.page(payment))
        assert f"/admin/audit/record/?q={payment.correlation_id}" in page

    def test_shows_its_operations_and_its_history(
        self, operator: OperatorClient, capture: Operation
    ) -> None:
        page = text(operator.page(capture.payment))
        operation_page = address(Operation, "change", capture.pk)
        assert f'<a href="{operation_page}">CAPTURE</a>' in page
        assert "100.00 USD" in page
        assert '<span class="badge badge-unknown">UNKNOWN</span>' in page
        steps = re.findall(r'class="field-status_to">.*?>([A-Z_]+)<', page, re.DOTALL)
        assert steps == ["PENDING", "AUTHORISED"]

    def test_lists_what_was_taken_and_given_back(self, operator: OperatorClient) -> None:
        payment_in(PaymentStatus.PARTIALLY_REFUNDED)
        page = text(operator.list(Payment))
        for amount in ("250.00 USD", "100.00 USD", "50.00 USD"):
            assert amount in page

    def test_filters_holds_that_end_soon(self, operator: OperatorClient) -> None:
        ending, later, gone = (
            payment_in(PaymentStatus.AUTHORISED),
            payment_in(PaymentStatus.AUTHORISED),
            payment_in(PaymentStatus.VOIDED),
        )
        soon = clock.now() + timedelta(hours=23)
        Payment.objects.filter(pk__in=[ending.pk, gone.pk]).update(capture_before=soon)
        in_two_days = clock.now() + timedelta(days=2)
        Payment.objects.filter(pk=later.pk).update(capture_before=in_two_days)
        found = operator.list(Payment, hold="ends_soon").context["cl"]
        assert list(found.result_list) == [ending]

    def test_withstands_and_refuses(self, operator: OperatorClient, payment: Payment) -> None:
        withstands_hostile_terms(operator, Payment)
        withstands_hostile_terms(operator, StatusChange)
        refuses_changes(operator, StatusChange.objects.latest("pk"))
        refuses_changes(operator, payment)


class TestOperationAdmin:
    def test_retries_a_parked_call(self, operator: OperatorClient, payment: Payment) -> None:
        operation = payment.operations.get()
        Operation.objects.update(parked_at=clock.now(), due_at=None, failures=5)
        assert operator.list(Operation, state="parked").context["cl"].result_count == 1
        assert "Retry: 1 operation." in operator.act("retry", operation, reason="bank is back")
        operation.refresh_from_db()
        assert not operation.is_parked
        assert operation.due_at is not None
        assert actions_told() == [("olga", "payments.operation.retry")]

    def test_does_not_retry_what_is_done(self, operator: OperatorClient, payment: Payment) -> None:
        assert "Only parked work" in operator.act("retry", payment.operations.get())

    def test_asks_for_a_reason(self, operator: OperatorClient, payment: Payment) -> None:
        Operation.objects.update(parked_at=clock.now(), due_at=None)
        operator.act("retry", payment.operations.get(), reason=" ")
        assert payment.operations.get().is_parked

    def test_skips_nothing_and_says_why(self, operator: OperatorClient, payment: Payment) -> None:
        Operation.objects.update(parked_at=clock.now(), due_at=None)
        operation = payment.operations.get()
        for page in (operator.list(Operation), operator.page(operation)):
            assert 'value="skip"' not in text(page)
        operator.act("skip", operation)
        assert payment.operations.get().is_parked
        assert actions_told() == []
        assert "cannot be skipped" in text(operator.choose("retry", operation))

    def test_filters_doubts(
        self, operator: OperatorClient, payment: Payment, capture: Operation
    ) -> None:
        found = operator.list(Operation, doubt="in_doubt").context["cl"]
        assert list(found.result_list) == [capture]
        certain = operator.list(Operation, doubt="certain").context["cl"].result_list
        assert list(certain) == list(payment.operations.all())

    def test_withstands_and_refuses(self, operator: OperatorClient, payment: Payment) -> None:
        withstands_hostile_terms(operator, Operation)
        refuses_changes(operator, payment.operations.get())


class TestProposing:
    def test_that_it_was_done_waits_for_a_second_person(
        self, operator: OperatorClient, capture: Operation
    ) -> None:
        page = done(operator, capture)
        assert "It was done: 1 operation. It waits for a second person" in page
        proposed = Resolution.objects.get()
        assert (proposed.verdict, proposed.proposed_by) == ("APPROVED", "olga")
        assert proposed.reason == "their dashboard shows it"
        assert loaded(capture.payment).captured_minor == 0
        assert actions_told() == [("olga", "payments.resolution.propose_approved")]

    def test_that_it_was_not_done_waits_too(
        self, operator: OperatorClient, capture: Operation
    ) -> None:
        page = operator.act("it_was_not_done", capture, reason="not in their report")
        assert "It was not done: 1 operation. It waits" in page
        assert Resolution.objects.get().verdict == "FAILED"
        assert loaded(capture.payment).capturing_minor == 10_000

    def test_of_an_authorisation_needs_its_reference(
        self, operator: OperatorClient, authorisation: Operation
    ) -> None:
        for nothing in ("", "   "):
            page = done(operator, authorisation, processor_reference=nothing)
            assert "An authorisation that was done has a reference." in page
            assert "their dashboard shows it" in page
        assert not Resolution.objects.exists()
        done(operator, authorisation, processor_reference=" ch_77 ")
        assert Resolution.objects.get().processor_reference == "ch_77"

    @pytest.mark.parametrize("reference", ["4111 1111 1111 1111", "x" * 201, "a\0b"])
    def test_takes_no_bad_reference(
        self, operator: OperatorClient, authorisation: Operation, reference: str
    ) -> None:
        assert "errorlist" in done(operator, authorisation, processor_reference=reference)
        assert not Resolution.objects.exists()

    def test_takes_one_reference_for_one_call(
        self, operator: OperatorClient, capture: Operation, authorisation: Operation
    ) -> None:
        page = done(operator, capture, authorisation, processor_reference="ch_77")
        assert "choose one operation" in page
        assert not Resolution.objects.exists()

    def test_is_done_once_at_a_time(
        self, operator: OperatorClient, colleague: OperatorClient, capture: Operation
    ) -> None:
        done(operator, capture)
        page = colleague.act("it_was_not_done", capture)
        assert "not for 1 operation. A resolution of this operation waits" in page
        assert Resolution.objects.count() == 1

    def test_is_not_for_what_is_certain(self, operator: OperatorClient, payment: Payment) -> None:
        page = operator.act("it_was_not_done", payment.operations.get())
        assert "Only an operation that is in doubt" in page
        assert actions_told() == []

    def test_is_not_for_who_may_only_view(self, capture: Operation) -> None:
        viewer = OperatorClient.who_may_only_view()
        assert "it_was_done" not in text(viewer.page(capture))
        done(viewer, capture)
        assert not Resolution.objects.exists()


class TestResolutionAdmin:
    @pytest.fixture
    def resolution(self, operator: OperatorClient, capture: Operation) -> Resolution:
        """What olga proposed: the capture was done."""
        done(operator, capture)
        return Resolution.objects.get()

    def test_lists_what_waits_for_a_second_person(
        self, colleague: OperatorClient, resolution: Resolution
    ) -> None:
        listed = colleague.list(Resolution, state="OPEN")
        assert listed.context["cl"].result_count == 1
        assert "waiting for a second person" in text(listed)
        assert "CAPTURE 100.00 USD with sandbox: UNKNOWN" in text(listed)
        assert "their dashboard shows it" in text(listed)
        assert colleague.list(Resolution, state="CONFIRMED").context["cl"].result_count == 0

    def test_is_confirmed_by_somebody_else(
        self, colleague: OperatorClient, resolution: Resolution
    ) -> None:
        page = colleague.act("confirm", resolution, reason="I see it, too", state="OPEN")
        assert "Confirm: 1 resolution." in page
        payment = loaded(resolution.operation.payment)
        assert (payment.status, payment.captured_minor, payment.in_doubt) == (
            "CAPTURED",
            10_000,
            False,
        )
        assert actions_told()[-1] == ("pieter", "payments.resolution.confirm")

    def test_is_not_confirmed_by_who_proposed_it(
        self, operator: OperatorClient, resolution: Resolution
    ) -> None:
        page = operator.act("confirm", resolution)
        assert "not for 1 resolution. Whoever proposed this cannot confirm it" in page
        resolution.refresh_from_db()
        assert resolution.is_open
        assert loaded(resolution.operation.payment).captured_minor == 0

    def test_is_not_confirmed_when_the_processor_has_told(
        self, colleague: OperatorClient, resolution: Resolution
    ) -> None:
        Operation.objects.filter(pk=resolution.operation_id).update(
            outcome="DECLINED", verdict="DECLINED"
        )
        assert "Only an operation that is in doubt" in colleague.act("confirm", resolution)
        assert loaded(resolution.operation.payment).captured_minor == 0

    def test_is_rejected_also_by_who_proposed_it(
        self, operator: OperatorClient, colleague: OperatorClient, resolution: Resolution
    ) -> None:
        assert "Reject: 1 resolution." in operator.act("reject", resolution, reason="wrong one")
        assert "confirmed or rejected before" in colleague.act("confirm", resolution)
        resolution.refresh_from_db()
        assert (resolution.state, resolution.decided_by) == ("REJECTED", "olga")
        assert loaded(resolution.operation.payment).captured_minor == 0

    def test_an_authorisation_that_was_done_can_be_captured(
        self,
        operator: OperatorClient,
        colleague: OperatorClient,
        authorisation: Operation,
        processor: FakeProcessor,
    ) -> None:
        done(operator, authorisation, processor_reference="ch_77")
        colleague.act("confirm", Resolution.objects.get())
        payment = loaded(authorisation.payment)
        assert (payment.status, payment.processor_reference) == ("AUTHORISED", "ch_77")

    def test_withstands_and_refuses(self, operator: OperatorClient, resolution: Resolution) -> None:
        withstands_hostile_terms(operator, Resolution)
        refuses_changes(operator, resolution)


class TestTokenAdmin:
    def test_shows_what_may_be_shown_and_no_more(self, operator: OperatorClient) -> None:
        card = {"number": "4242424242424242", "expMonth": 12, "expYear": 2039}
        token = store_token(merchant_id=new_id(), card=card, now=clock.now())
        stored = Token.objects.get(pk=token.pk)
        shown = text(operator.list(Token)) + text(operator.page(stored))
        assert token.pk in shown
        assert "4242" in shown
        assert "424242" not in shown
        for secret in (stored.sealed, stored.fingerprint):
            assert secret
            assert bytes(secret).hex() not in shown
            assert repr(bytes(secret))[2:14] not in shown

    def test_withstands_and_refuses(self, operator: OperatorClient) -> None:
        wallet = {"provider": "PAYPAL", "walletId": "w-1"}
        token = store_token(merchant_id=new_id(), wallet=wallet, now=clock.now())
        withstands_hostile_terms(operator, Token)
        refuses_changes(operator, Token.objects.get(pk=token.pk))
