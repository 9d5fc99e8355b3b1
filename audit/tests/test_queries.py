"""Reads of the trail."""

from uuid import UUID

import pytest

from audit.queries import list_records, list_story
from audit.tests.conftest import initiated, recorded
from shared.events.payments import PaymentTransactionAuthorised
from shared.identifiers import new_id
from shared.testing.events import example

pytestmark = pytest.mark.django_db


class TestListStory:
    def test_tells_a_story_in_the_order_in_which_it_was_recorded(self) -> None:
        first = initiated()
        story = {"correlation_id": first.correlation_id, "merchant_id": first.merchant_id}
        # Whatever the clocks said: the second event claims to be older.
        second = example(PaymentTransactionAuthorised, occurred_at="2001-01-01T00:00:00Z", **story)
        for event in (first, initiated(), second):
            recorded(event)
        found = list_story(
            merchant_id=UUID(first.merchant_id), correlation_id=UUID(first.correlation_id)
        )
        assert [str(record.event_id) for record in found] == [first.event_id, second.event_id]

    def test_of_another_merchant_is_empty(self) -> None:
        event = initiated()
        recorded(event)
        story = UUID(event.correlation_id)
        assert list_story(merchant_id=new_id(), correlation_id=story) == []


class TestListRecords:
    def test_is_the_merchants_own_and_of_one_type_if_asked(self) -> None:
        one, other = initiated(), initiated()
        authorised = example(PaymentTransactionAuthorised, merchant_id=one.merchant_id)
        recorded(one, other, authorised, initiated(merchant_id=None))
        merchant_id = UUID(one.merchant_id)
        assert list_records(merchant_id=merchant_id).count() == 2
        for event in (one, authorised):
            (found,) = list_records(merchant_id=merchant_id, event_type=event.event_type)
            assert str(found.event_id) == event.event_id
        assert not list_records(merchant_id=merchant_id, event_type="Of.The.Future").exists()
