"""Accepting a payment: once per merchant and key, together with its event."""

from functools import partial

import pytest
from django.db import IntegrityError, transaction

from payments.models import Payment
from payments.queries import IdempotencyKeyExpired
from payments.tests.conftest import NOW, terms
from payments.use_cases.initiate_payment import Terms, initiate_payment
from shared import clock
from shared.identifiers import new_id
from shared.models import Event
from shared.testing.events import told
from shared.testing.races import race
from shared.testing.refusals import violated

pytestmark = pytest.mark.django_db

INITIATED = "Payment.Transaction.Initiated"


def submit(asked: Terms) -> str:
    """What became of it: a status, or the refusal's code."""
    try:
        return initiate_payment(terms=asked, now=NOW).status
    except IdempotencyKeyExpired as refusal:
        return refusal.code


class TestInitiatePayment:
    def test_stores_what_was_asked_for(self) -> None:
        asked = terms(description="Grüße 🌍", metadata={"order": "1001"}, currency="JPY")
        initiate_payment(terms=asked, now=NOW)
        stored = Payment.objects.get()
        assert {name: getattr(stored, name) for name in vars(asked)} == vars(asked)
        assert (stored.status, stored.created_at, stored.updated_at) == ("PENDING", NOW, NOW)
        assert (stored.authorised_minor, stored.in_doubt, stored.assessed_at) == (0, False, None)

    def test_tells_of_it_in_a_story_of_its_own(self) -> None:
        one, two = (initiate_payment(terms=terms(), now=NOW) for _ in range(2))
        events = Event.objects.filter(event_type=INITIATED).order_by("sequence")
        assert [(event.correlation_id, event.subject_id) for event in events] == [
            (one.correlation_id, one.pk),
            (two.correlation_id, two.pk),
        ]
        payload = told(INITIATED)[0]
        assert payload["payment_id"] == str(one.pk)
        assert (payload["amount_minor"], payload["currency"]) == (25_000, "USD")
        assert payload["payment_method_token"] == "tok_test"
        assert events[0].occurred_at == clock.parse(clock.iso(NOW))

    def test_refuses_a_key_that_made_a_payment_before(self) -> None:
        asked = terms()
        submit(asked)
        used = {"merchant_id": asked.merchant_id, "idempotency_key": asked.idempotency_key}
        for again in (asked, terms(**used)):
            assert submit(again) == "idempotency_key_expired"
        assert Payment.objects.count() == len(told(INITIATED)) == 1

    def test_lets_two_merchants_use_one_key(self) -> None:
        assert {submit(terms(idempotency_key="order-1")) for _ in range(2)} == {"PENDING"}

    def test_takes_one_of_many_that_race_with_one_key(self) -> None:
        asked = terms()
        outcomes = race([partial(submit, asked)] * 8)
        assert sorted(outcomes) == ["PENDING"] + ["idempotency_key_expired"] * 7
        assert Payment.objects.count() == len(told(INITIATED)) == 1

    def test_says_nothing_when_it_does_not_commit(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            initiate_payment(terms=terms(), now=NOW)
            raise ZeroDivisionError
        assert not Payment.objects.exists()
        assert told(INITIATED) == []

    def test_passes_other_violations_on(self) -> None:
        with pytest.raises(IntegrityError):
            initiate_payment(terms=terms(amount_minor=0), now=NOW)

    def test_names_the_key_by_its_constraint(self) -> None:
        asked = terms()
        submit(asked)
        facts = vars(asked) | {"payee_account_id": new_id()}
        assert violated(lambda: Payment.initiate(now=NOW, **facts)) == "uq_payment_idempotency_key"
