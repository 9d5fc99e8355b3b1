"""Recording: every event as it was, once, in order."""

from uuid import UUID

import pytest

from audit.models import Record
from audit.tests.conftest import initiated, recorded
from shared import clock
from shared.events.base import DomainEvent
from shared.events.catalogue import contracts
from shared.testing.events import example
from shared.testing.races import race

pytestmark = pytest.mark.django_db


class TestRecordEvents:
    @pytest.mark.parametrize("contract", list(contracts()))
    def test_keeps_an_event_of_any_type_as_it_was(self, contract: type[DomainEvent]) -> None:
        event = example(contract)
        (record,) = recorded(event)
        assert (record.event_type, record.version) == (contract.event_type, contract.version)
        assert str(record.event_id) == event.event_id
        assert str(record.correlation_id) == event.correlation_id
        assert str(record.subject_id) == event.subject_id
        assert str(record.merchant_id) == event.merchant_id
        assert record.occurred_at == clock.parse(event.occurred_at)
        assert record.payload == event.payload()

    def test_keeps_what_belongs_to_no_merchant(self) -> None:
        (record,) = recorded(initiated(merchant_id=None))
        assert record.merchant_id is None

    def test_keeps_text_as_it_was(self) -> None:
        name = 'Grüße 🌍 "quoted" \\back\\ \n\t\'; --'
        (record,) = recorded(initiated(merchant_name=name))
        assert record.payload["merchantName"] == name

    def test_leaves_alone_what_was_recorded_before(self) -> None:
        first, second = initiated(), initiated()
        recorded(first)
        recorded(first, second)
        recorded(second, first)
        ids = list(Record.objects.order_by("id").values_list("event_id", flat=True))
        assert ids == [UUID(first.event_id), UUID(second.event_id)]

    def test_brought_twice_at_once_records_once(self) -> None:
        events = [initiated() for _ in range(10)]
        race([lambda: recorded(*events)] * 4)
        assert Record.objects.count() == 10

    def test_keeps_the_order_it_is_given(self) -> None:
        events = [initiated() for _ in range(100)]
        records = recorded(*events)
        assert [str(record.event_id) for record in records] == [e.event_id for e in events]
